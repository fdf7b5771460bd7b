"""The ``forestflow`` command. Heavy imports wait until a command needs them, so that ``--help`` is quick."""


def main() -> None:
    """Entry point of the ``forestflow`` script."""
    from forestflow.cli.app import app

    app()
