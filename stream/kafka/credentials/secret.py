"""A secret that the environment holds, or a file that somebody may write anew at any time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from mindstream.files import why_unreadable

__all__ = ["Secret"]


@dataclass(frozen=True)
class Secret:
    """A password, client secret or token. Nothing that prints it shows it.

    Attributes
    ----------
    variable : that holds it; the one that names a file instead is the same with _FILE.
    value, file : at most one of them.
    """

    variable: str
    value: SecretStr | None = field(default=None, repr=False)
    file: Path | None = None

    @property
    def source(self) -> str:
        """Return where it comes from, in words."""
        return f"{self.variable}_FILE ({self.file})" if self.file else self.variable

    def variables(self) -> dict[str, object]:
        """Return variable -> what it says, a value as SecretStr.

        Empty or None if it is not set.
        """
        given = self.value if self.value and self.value.get_secret_value() else None
        return {self.variable: given, f"{self.variable}_FILE": self.file}

    def faults(self) -> Iterator[str]:
        """Yield a fault for both at once, and for a file that cannot be read or holds none."""
        if all(self.variables().values()):
            yield f"{self.variable} and {self.variable}_FILE are both set; right is one of them"
        try:
            self.reveal()
        except ValueError as error:
            yield str(error)

    def is_given(self) -> bool:
        """Tell whether there is one."""
        return any(self.variables().values())

    def reveal(self) -> str:
        """Return the secret in the clear; empty if there is none. A file is read each time.

        Raises
        ------
        ValueError
            Names the file that cannot be read, or holds no text.
        """
        if self.file is None:
            return self.value.get_secret_value() if self.value else ""
        try:
            text = self.file.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError:
            raise self._wrong(f"which cannot be read ({why_unreadable(self.file)})") from None
        except UnicodeDecodeError:  # its text would show the bytes
            raise self._wrong("which is no text in UTF-8") from None
        if not text:
            raise self._wrong("which is empty")
        return text

    def _wrong(self, what: str) -> ValueError:
        """Return the error that says what is wrong with the file."""
        return ValueError(f"{self.variable}_FILE is {self.file}, {what}; right is a file that holds the secret alone")
