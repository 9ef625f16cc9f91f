"""Ctrl-C during the imports: no traceback, exit status 130. Imports nothing but sys, to be there as soon as can be."""

import sys

__all__ = ["EXIT_INTERRUPTED", "end_quietly"]

EXIT_INTERRUPTED = 130  # Typer's, too


def end_quietly() -> None:
    """End without a traceback if Ctrl-C comes during the imports.

    NumPy, pandas and torch take seconds to import, and console.run, which handles Ctrl-C, comes after them.
    """
    former = sys.excepthook

    def hook(kind, error, trace):  # type: ignore[no-untyped-def]  # its types would have to be imported
        if _is_of_ctrl_c(error):
            sys.exit(EXIT_INTERRUPTED)
        former(kind, error, trace)

    sys.excepthook = hook


def _is_of_ctrl_c(error: BaseException | None) -> bool:
    """Tell whether an exception is Ctrl-C, or came of it.

    A compiled module (onnxruntime's, for one) makes an ImportError of it.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


end_quietly()
