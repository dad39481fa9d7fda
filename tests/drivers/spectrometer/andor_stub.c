/* A spectrograph and a camera as a compiled library, with the integer sizes of Andor's Linux header
 * (at_32 = int). Exposures take wall time. Written for the tests of the driver's calls only. */

#include <math.h>
#include <string.h>
#include <time.h>

typedef int at_32;
typedef unsigned int at_u32;

typedef struct {
    at_u32 size, acquisition, read, trigger, type, pixel, set, get, features, pci, em, ft_read, features2;
} capabilities;

#define OK 20002
#define SOK 20202
#define COLUMNS 1024
#define ROWS 255

static float exposure = 0.1f, temperature = 20.0f, centre = 500.0f, pixel = 0.0f;
static int kinetics = 1, running = 0, cooler = 0, set_point = 20, grating = 1, shutter = 0, flipper = 0, pixels = 0;
static double started = 0.0;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int done(void) {
    int n = running ? (int)((now() - started) / (exposure + 0.01)) : 0;
    return n > kinetics ? kinetics : n;
}

at_u32 Initialize(char *folder) { return OK; }
at_u32 ShutDown(void) { cooler = 0; return OK; }
at_u32 GetAvailableCameras(at_32 *n) { *n = 1; return OK; }
at_u32 GetCameraHandle(at_32 i, at_32 *h) { *h = 100 + i; return OK; }
at_u32 GetCurrentCamera(at_32 *h) { *h = 100; return OK; }
at_u32 SetCurrentCamera(at_32 h) { return h == 100 ? OK : 20066; }
at_u32 GetCapabilities(capabilities *c) {
    if (c->size != sizeof(capabilities)) return 20066;
    c->acquisition = 15; c->read = 63; c->trigger = 3; c->type = 8; c->pixel = 4;
    c->set = 0x1207; c->get = 15; c->features = 1 | 2 | 8 | 128 | 256;
    return OK;
}
at_u32 GetControllerCardModel(char *s) { strcpy(s, "USB"); return OK; }
at_u32 GetHeadModel(char *s) { strcpy(s, "DU920P (compiled)"); return OK; }
at_u32 GetCameraSerialNumber(int *n) { *n = 4711; return OK; }
at_u32 GetDetector(int *x, int *y) { *x = COLUMNS; *y = ROWS; return OK; }
at_u32 GetPixelSize(float *x, float *y) { *x = *y = 26.0f; return OK; }
at_u32 GetNumberADChannels(int *n) { *n = 1; return OK; }
at_u32 GetBitDepth(int c, int *n) { *n = 16; return OK; }
at_u32 GetNumberAmp(int *n) { *n = 1; return OK; }
at_u32 GetAmpDesc(int i, char *s, int n) { strncpy(s, "Conventional", n); return OK; }
at_u32 GetNumberHSSpeeds(int c, int t, int *n) { *n = 2; return OK; }
at_u32 GetHSSpeed(int c, int t, int i, float *s) { *s = i ? 1.0f : 0.05f; return OK; }
at_u32 GetNumberPreAmpGains(int *n) { *n = 1; return OK; }
at_u32 GetPreAmpGain(int i, float *g) { *g = 1.0f; return OK; }
at_u32 IsPreAmpGainAvailable(int c, int a, int i, int p, int *s) { *s = 1; return OK; }
at_u32 GetSensitivity(int c, int h, int a, int p, float *s) { *s = 2.8f; return OK; }
at_u32 GetNumberVSSpeeds(int *n) { *n = 1; return OK; }
at_u32 GetVSSpeed(int i, float *s) { *s = 16.25f; return OK; }
at_u32 GetFastestRecommendedVSSpeed(int *i, float *s) { *i = 0; *s = 16.25f; return OK; }
at_u32 SetADChannel(int i) { return OK; }
at_u32 SetOutputAmplifier(int i) { return OK; }
at_u32 SetHSSpeed(int t, int i) { return OK; }
at_u32 SetPreAmpGain(int i) { return OK; }
at_u32 SetVSSpeed(int i) { return OK; }
at_u32 SetFanMode(int m) { return OK; }
at_u32 GetShutterMinTimes(int *c, int *o) { *c = *o = 0; return OK; }
at_u32 SetShutter(int t, int m, int c, int o) { return OK; }
at_u32 SetTriggerMode(int m) { return OK; }
at_u32 GetTriggerLevelRange(float *a, float *b) { return 20991; }
at_u32 SetExposureTime(float s) { exposure = s > 1e-5f ? s : 1e-5f; return OK; }
at_u32 SetAcquisitionMode(int m) { return OK; }
at_u32 SetNumberAccumulations(int n) { return OK; }
at_u32 SetNumberKinetics(int n) { kinetics = n; return OK; }
at_u32 SetKineticCycleTime(float s) { return OK; }
at_u32 SetAccumulationCycleTime(float s) { return OK; }
at_u32 GetAcquisitionTimings(float *e, float *a, float *k) { *e = exposure; *a = *k = exposure + 0.01f; return OK; }
at_u32 SetReadMode(int m) { return OK; }
at_u32 SetImage(int a, int b, int c, int d, int e, int f) { return OK; }
at_u32 SetSingleTrack(int c, int h) { return OK; }
at_u32 SetMultiTrack(int n, int h, int o, int *b, int *g) { *b = 1; *g = 0; return OK; }
at_u32 SetRandomTracks(int n, int *a) { return OK; }
at_u32 PrepareAcquisition(void) { return OK; }
at_u32 StartAcquisition(void) { running = 1; started = now(); return OK; }
at_u32 AbortAcquisition(void) { int was = running; running = 0; return was ? OK : 20073; }
at_u32 FreeInternalMemory(void) { running = 0; return OK; }
at_u32 GetStatus(int *s) { *s = running && done() < kinetics ? 20072 : 20073; return OK; }
at_u32 GetAcquisitionProgress(at_32 *a, at_32 *s) { *a = 0; *s = done(); return OK; }
at_u32 GetSizeOfCircularBuffer(at_32 *n) { *n = 100; return OK; }
at_u32 GetImages(at_32 first, at_32 last, at_32 *data, at_u32 size, at_32 *v1, at_32 *v2) {
    int frame, column;
    if (size != (at_u32)(COLUMNS * (last - first + 1))) return 20069;
    for (frame = first; frame <= last; frame++)
        for (column = 0; column < COLUMNS; column++)
            data[(frame - first) * COLUMNS + column] = 1000 * frame + column + (shutter ? 100000 : 0);
    *v1 = first; *v2 = last;
    return OK;
}
at_u32 GetTemperatureRange(int *a, int *b) { *a = -100; *b = -20; return OK; }
at_u32 SetTemperature(int t) { set_point = t; return OK; }
at_u32 GetTemperatureF(float *t) { *t = cooler ? set_point : 20.0f; return cooler ? 20036 : 20034; }
at_u32 CoolerON(void) { cooler = 1; return OK; }
at_u32 CoolerOFF(void) { cooler = 0; return OK; }
at_u32 IsCoolerOn(int *on) { *on = cooler; return OK; }

at_u32 ShamrockInitialize(char *ini) { return SOK; }
at_u32 ShamrockClose(void) { return SOK; }
at_u32 ShamrockGetNumberDevices(int *n) { *n = 1; return SOK; }
at_u32 ShamrockGetFunctionReturnDescription(int c, char *s, int n) { strncpy(s, "compiled", n); return SOK; }
at_u32 ShamrockGetSerialNumber(int d, char *s) { strcpy(s, "KY-COMPILED"); return SOK; }
at_u32 ShamrockGetNumberGratings(int d, int *n) { *n = 2; return SOK; }
at_u32 ShamrockGetGrating(int d, int *g) { *g = grating; return SOK; }
at_u32 ShamrockSetGrating(int d, int g) { if (g < 1 || g > 2) return 20267; grating = g; return SOK; }
at_u32 ShamrockGetGratingInfo(int d, int g, float *l, char *b, int *h, int *o) {
    *l = g == 1 ? 300.0f : 600.0f; strcpy(b, "500"); *h = *o = 0; return SOK;
}
at_u32 ShamrockWavelengthIsPresent(int d, int *p) { *p = 1; return SOK; }
at_u32 ShamrockGetWavelength(int d, float *w) { *w = centre; return SOK; }
at_u32 ShamrockSetWavelength(int d, float w) { if (w < 0 || w > 2000) return 20267; centre = w; return SOK; }
at_u32 ShamrockGetWavelengthLimits(int d, int g, float *a, float *b) { *a = 0; *b = 2000; return SOK; }
at_u32 ShamrockShutterIsPresent(int d, int *p) { *p = 1; return SOK; }
at_u32 ShamrockIsModePossible(int d, int m, int *p) { *p = 1; return SOK; }
at_u32 ShamrockGetShutter(int d, int *m) { *m = shutter; return SOK; }
at_u32 ShamrockSetShutter(int d, int m) { shutter = m; return SOK; }
at_u32 ShamrockFilterIsPresent(int d, int *p) { *p = 1; return SOK; }
at_u32 ShamrockGetFilterInfo(int d, int i, char *s) { strcpy(s, "LP 450"); return SOK; }
at_u32 ShamrockFlipperMirrorIsPresent(int d, int f, int *p) { *p = f == 2; return SOK; }
at_u32 ShamrockGetFlipperMirror(int d, int f, int *p) { *p = flipper; return SOK; }
at_u32 ShamrockSetFlipperMirror(int d, int f, int p) { flipper = p; return SOK; }
at_u32 ShamrockSetPixelWidth(int d, float w) { pixel = w; return SOK; }
at_u32 ShamrockGetPixelWidth(int d, float *w) { *w = pixel; return SOK; }
at_u32 ShamrockSetNumberPixels(int d, int n) { pixels = n; return SOK; }
at_u32 ShamrockGetNumberPixels(int d, int *n) { *n = pixels; return SOK; }
at_u32 ShamrockGetCalibration(int d, float *v, int n) {
    int i;
    if (n != pixels || pixel == 0.0f) return 20268;
    for (i = 0; i < n; i++) v[i] = centre + (grating == 1 ? 0.25f : 0.125f) * (i - 0.5f * (n - 1));
    return SOK;
}
