"""Set up labctl in a folder of its own and start it: ``python3 run.py COMMAND`` is ``labctl COMMAND``.

The first call makes ``.venv`` beside this file and installs the pinned versions of ``constraints.txt``;
later calls start at once. ``python3 run.py test`` also installs the test tools and runs the tests.
Standard library only; the same on Linux, macOS and Windows.
"""

import ctypes.util
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CONSTRAINTS = ROOT / "constraints.txt"

# Libraries that the Qt wheels expect from the system, with the package that brings each (Debian, Ubuntu).
QT_LIBRARIES = {
    "GL": "libgl1",
    "EGL": "libegl1",
    "xkbcommon": "libxkbcommon0",
    "dbus-1": "libdbus-1-3",
    "fontconfig": "libfontconfig1",
    "glib-2.0": "libglib2.0-0",
}


def say(text):
    """Print to standard error: standard output belongs to the command."""
    print(text, file=sys.stderr, flush=True)


def pinned(section):
    """Requirement lines of one ``# [section]`` of the constraints file."""
    lines, inside = [], False
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ["):
            inside = line.strip() == "# [" + section + "]"
        elif inside and line.strip() and not line.startswith("#"):
            lines.append(line.strip())
    return lines


def fingerprint(sections):
    """What the environment was made from; another value means that it has to be set up again."""
    digest = hashlib.sha256()
    for path in (CONSTRAINTS, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    digest.update(repr((str(ROOT), sys.version_info[:3], sorted(sections))).encode())
    return digest.hexdigest()


def is_ready(sections):
    """Whether ``.venv`` holds these sections in these versions."""
    marks = [VENV / ("labctl-" + section + ".txt") for section in sections]
    return PYTHON.exists() and all(
        mark.exists() and mark.read_text(encoding="utf-8") == fingerprint([section])
        for mark, section in zip(marks, sections)
    )


def make_environment():
    """Make an empty ``.venv`` with pip; say which system package is missing where Python lacks a part."""
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        version = "%d.%d" % sys.version_info[:2]
        sys.exit(
            "This Python cannot make environments. On Debian or Ubuntu:\n"
            "    sudo apt-get install python" + version + "-venv"
        )
    if VENV.exists():
        shutil.rmtree(VENV)
    venv.EnvBuilder(with_pip=True, symlinks=os.name != "nt").create(VENV)


def install(requirements, editable):
    """Install exactly these pinned versions; nothing is resolved, so nothing else can slip in."""
    # Compiling is left to the first import: most of what is installed is never imported.
    options = ["-qq", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    command = [str(PYTHON), "-m", "pip", "install", *options]
    listing = VENV / "requirements.txt"
    listing.write_text("\n".join(requirements) + "\n", encoding="utf-8")
    result = subprocess.run([*command, "-r", str(listing)], stdout=sys.stderr, check=False)
    if result.returncode == 0 and editable:
        result = subprocess.run(
            [*command, "--no-build-isolation", "--editable", str(ROOT)], stdout=sys.stderr, check=False
        )
    if result.returncode != 0:
        sys.exit(
            "Setting up .venv failed (pip's words are above). Check the network connection and call again;\n"
            "nothing outside " + str(VENV) + " was touched."
        )


def missing_qt_packages():
    """Debian packages of the libraries that the desktop needs and this machine lacks."""
    if not sys.platform.startswith("linux"):
        return []
    return [package for name, package in QT_LIBRARIES.items() if ctypes.util.find_library(name) is None]


def set_up(sections):
    """Bring ``.venv`` to the committed versions."""
    start = time.monotonic()
    say("Setting up .venv (once; about half a minute) ...")
    if not is_ready([]) or not is_ready(["run"]):
        make_environment()
        to_do = ["run", *(section for section in sections if section != "run")]
    else:
        to_do = [section for section in sections if not is_ready([section])]
    install([line for section in to_do for line in pinned(section)], editable="run" in to_do)
    for section in to_do:
        mark = VENV / ("labctl-" + section + ".txt")
        mark.write_text(fingerprint([section]), encoding="utf-8")
    say("Ready after %.0f s." % (time.monotonic() - start))
    packages = missing_qt_packages()
    if packages:
        say("The desktop window needs system libraries that are missing here. On Debian or Ubuntu:")
        say("    sudo apt-get install " + " ".join(packages))


def start(arguments):
    """Run ``python ARGUMENTS`` in the environment and end with its exit code."""
    environment = dict(os.environ)
    if sys.platform.startswith("linux") and not (
        environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    ):
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    command = [str(PYTHON), *arguments]
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(command[0], command, environment)
    child = subprocess.Popen(command, env=environment)
    while True:
        try:
            sys.exit(child.wait())
        except KeyboardInterrupt:
            # Ctrl-C reaches the child too; it leaves the rig safe and then ends by itself.
            continue


def main():
    """Set up if needed, then start the command."""
    if sys.version_info < (3, 11):
        sys.exit("labctl needs Python 3.11 or newer; this is %d.%d." % sys.version_info[:2])
    arguments = sys.argv[1:]
    testing = arguments[:1] == ["test"]
    sections = ["run", "test"] if testing else ["run"]
    if not is_ready(sections):
        set_up(sections)
    if testing:
        os.chdir(ROOT)
        workers = []
        if not any(a.startswith("-n") for a in arguments):
            # One more than processors: a quarter of the tests' time is waiting for lines and deadlines.
            # Idle ones take waiting tests from the others: whole nights stand together at the end.
            workers = ["-n", str(min(5, (os.cpu_count() or 1) + 1)), "--dist", "worksteal"]
        start(["-m", "pytest", *workers, *arguments[1:]])
    start(["-m", "labctl", *arguments])


if __name__ == "__main__":
    main()
