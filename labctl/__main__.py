"""``python -m labctl``."""

import sys

if __name__ == "__main__":
    try:
        from labctl.cli.main import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
