"""The one program, `mint`: components at once, everything else through the command line for people."""

from __future__ import annotations

import sys

from network import services


def main() -> None:
    """Run the command in `sys.argv`; ends the process with its exit code."""
    if len(sys.argv) > 1 and sys.argv[1] in services.ROLES:
        sys.exit(services.main(sys.argv[1], sys.argv[2:]))
    try:
        from network.commands import main as commands  # noqa: PLC0415 (a device has neither typer nor rich)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"mint: {error.name} is not installed here, so only {', '.join(services.ROLES)} work; "
            "install MinT with the extra `console` for the rest\n"
        )
        sys.exit(3)
    sys.exit(commands())


if __name__ == "__main__":
    main()
