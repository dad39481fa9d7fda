"""``python -m labctl``."""

if __name__ == "__main__":
    try:
        from labctl.cli.main import entry
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    entry()
