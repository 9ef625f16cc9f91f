"""A certificate authority for one test session, made by openssl in a folder."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True)
class Authority:
    """Signs certificates.

    Attributes
    ----------
    folder : with ca.pem and ca.key, and what it has signed.
    """

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def key(self) -> Path:
        return self.folder / "ca.key"

    def sign(self, name: str, host: str = "", password: str = "") -> tuple[Path, Path]:
        """Make a key, and a certificate for it.

        Parameters
        ----------
        host : IP address that the certificate is valid for, for a server's.
        password : of the key; empty: it has none.

        Returns
        -------
        The files of the certificate and of the key.
        """
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        signing = ["-CA", str(self.certificate), "-CAkey", str(self.key)]
        make(certificate, key, name, *signing, *names(host), password=password)
        return certificate, key


def new_authority(folder: Path) -> Authority:
    """An authority that nobody knows yet."""
    authority = Authority(folder)
    folder.mkdir(parents=True)
    make(authority.certificate, authority.key, "authority")
    return authority


def names(host: str) -> list[str]:
    """The extension that says whom a server's certificate is for."""
    return ["-addext", f"subjectAltName=IP:{host}"] if host else []


def make(certificate: Path, key: Path, name: str, *options: str, password: str = "") -> None:
    """Make a key and its certificate; it is self-signed where the options name no authority."""
    secret = ["-passout", f"pass:{password}"] if password else ["-noenc"]
    files = ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}", "-days", "2"]
    done = subprocess.run(
        ["openssl", "req", "-x509", *KEY, *secret, *files, *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"openssl made no certificate for {name}: {done.stderr}")
