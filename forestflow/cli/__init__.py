"""The ``forestflow`` command. Heavy imports wait until a command needs them, so that ``--help`` is quick."""


def main() -> None:
    """Entry point of the ``forestflow`` script."""
    try:
        from forestflow.cli.app import app

        app()
    except KeyboardInterrupt:  # while modules are imported; later, each command has its own way
        raise SystemExit(130) from None
