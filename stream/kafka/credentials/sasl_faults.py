"""What each mechanism of SASL needs, and what is wrong where that is missing or something else is set."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

__all__ = ["MECHANISMS", "PASSWORD_MECHANISMS", "faults"]

PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PASSWORD_VARIABLES = ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_SASL_PASSWORD_FILE")
# Mechanism -> what the names of its variables begin with.
MECHANISMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(PASSWORD_MECHANISMS, PASSWORD_VARIABLES),
    "OAUTHBEARER": ("KAFKA_SASL_OAUTHBEARER_",),
    "AWS_MSK_IAM": (),
    "GSSAPI": ("KAFKA_SASL_KERBEROS_",),
}
PACKAGES = {"AWS_MSK_IAM": "botocore", "GSSAPI": "gssapi"}  # no dependencies: few need them


def faults(protocol: str, mechanism: str, variables: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with the variables of SASL, the worst first.

    Parameters
    ----------
    variables : variable -> what it says; empty or None where it is not set.
    """
    if mechanism not in MECHANISMS:
        yield f"KAFKA_SASL_MECHANISM is {mechanism!r}; right is one of {', '.join(MECHANISMS)}"
        return
    if mechanism in PASSWORD_MECHANISMS:
        yield from _faults_of_password(protocol, variables)
    package = PACKAGES.get(mechanism)
    if package and find_spec(package) is None:
        yield f"KAFKA_SASL_MECHANISM is {mechanism}, which needs the package {package}; `pip install {package}`"
    if mechanism == "AWS_MSK_IAM" and protocol != "SASL_SSL":
        yield f"KAFKA_SASL_MECHANISM is AWS_MSK_IAM, but KAFKA_SECURITY_PROTOCOL is {protocol}; right is SASL_SSL"
    yield from _set_in_vain(mechanism, variables)


def _faults_of_password(protocol: str, variables: Mapping[str, object]) -> Iterator[str]:
    """Yield a fault for a missing name or password, and for two passwords."""
    name, password, file = PASSWORD_VARIABLES
    needs = f"KAFKA_SECURITY_PROTOCOL {protocol} needs a user and a password"
    if not variables[name]:
        yield f"{name} is not set; {needs}"
    if not variables[password] and not variables[file]:
        yield f"{password} is not set; {needs}"
    if variables[password] and variables[file]:
        yield f"{password} and {file} are both set; right is one of them"


def _set_in_vain(mechanism: str, variables: Mapping[str, object]) -> Iterator[str]:
    """Yield a fault for each variable that belongs to another mechanism."""
    for variable, value in variables.items():
        of_sasl = variable.startswith("KAFKA_SASL_") and variable != "KAFKA_SASL_MECHANISM"
        if of_sasl and value and not variable.startswith(MECHANISMS[mechanism]):
            right = ", ".join(one for one, own in MECHANISMS.items() if variable.startswith(own))
            yield f"{variable} is set, but KAFKA_SASL_MECHANISM is {mechanism}; right is {right}"
