/* A shared library with the Linkam SDK's exported names and prototypes. Every call goes to the function
   that linkamStandInConnect was given, so that a driver's real dlopen and C calls are tested. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef union {
    bool vBoolean; int32_t vInt32; uint32_t vUint32; int64_t vInt64; uint64_t vUint64;
    float vFloat32; double vFloat64; void *vPtr;
} Variant;

typedef struct { uint32_t type; char info[124]; } CommsInfo;
typedef uint64_t CommsHandle;
typedef bool (*Process)(uint32_t, uint64_t, void *, uint64_t, uint64_t, uint64_t);

static Process process;

void linkamStandInConnect(Process function) { process = function; }

bool linkamInitialiseSDK(const char *log, const char *licence, bool initCOM) { return process != 0; }
void linkamExitSDK(void) {}

bool linkamGetVersion(char *buffer, uint64_t length) {
    strncpy(buffer, "3.0.19 compiled", length);
    return true;
}

void linkamInitialiseUSBCommsInfo(CommsInfo *info, const char *serial) {
    memset(info, 0, sizeof *info);
    info->type = 2;
    if (serial) strncpy(info->info + 4, serial, 16);
}

void linkamInitialiseSerialCommsInfo(CommsInfo *info, const char *port) {
    memset(info, 0, sizeof *info);
    info->type = 1;
    strncpy(info->info, port, 63);
}

bool linkamProcessMessageCommon(uint32_t message, CommsHandle handle, void *result,
                                uint64_t p1, uint64_t p2, uint64_t p3) {
    return process(message, handle, result, p1, p2, p3);
}

bool linkamProcessMessage(int32_t message, CommsHandle handle, Variant *result, Variant p1, Variant p2,
                          Variant p3) {
    return process((uint32_t)message, handle, result, p1.vUint64, p2.vUint64, p3.vUint64);
}
