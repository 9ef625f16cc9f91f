"""What a failure of Redis means for an operator: what is wrong, and which setting to look at."""

import re
from collections.abc import Iterator

__all__ = ["reason_of"]

# The first row counts whose pattern is found in the code, the kind and the words of an error or of what it came from.
MEANINGS: tuple[tuple[str, str], ...] = (
    (
        r"NOAUTH|Authentication required",
        "it asks for a password, and was given none: set it in MINDSTREAM_REDIS (redis://:password@host) or "
        "MINDSTREAM_REDIS_PASSWORD_FILE",
    ),
    (
        r"without any password configured",
        "it was given a password and has none: take it out of MINDSTREAM_REDIS and MINDSTREAM_REDIS_PASSWORD_FILE, or "
        "set it there (requirepass)",
    ),
    (
        r"WRONGPASS|invalid password|invalid username",
        "it does not know this user or password: look at MINDSTREAM_REDIS and MINDSTREAM_REDIS_PASSWORD_FILE",
    ),
    (
        r"NOPERM|has no permissions|ACL failure",
        "its user may not do that: allow it (ACL SETUSER) the keys that begin with MINDSTREAM_REDIS_PREFIX and the "
        "command that is named here",
    ),
    (
        r"\bOOM\b|used memory > 'maxmemory'",
        "its memory is full: raise its maxmemory, or let users who are gone be removed (MINDSTREAM_IDLE_DAYS)",
    ),
    (
        r"READONLY|read only replica",
        "it is a replica: let MINDSTREAM_REDIS name the primary, or the sentinels (redis+sentinel://); after a "
        "failover behind one name it goes on by itself",
    ),
    (r"MISCONF", "it cannot write to its disk: look at the room there, and at the log of Redis"),
    (
        r"MASTERDOWN",
        "it is a replica that has lost its primary: it goes on by itself once that, or another one, is there",
    ),
    (r"LOADING", "it was started and reads its data from disk: it goes on by itself"),
    (r"NOREPLICAS", "too few of its replicas are there: look at them, and at its min-replicas-to-write"),
    (
        r"CLUSTERDOWN|SlotNotCovered|not covered",
        "nodes of the Redis Cluster are away (`redis-cli cluster info`): it goes on once others have taken over",
    ),
    (r"\bMOVED\b|MovedError", "it is a node of a Redis Cluster: begin MINDSTREAM_REDIS with redis+cluster://"),
    (
        r"[Cc]luster mode is not enabled|cluster support disabled",
        "it is no Redis Cluster: begin MINDSTREAM_REDIS with redis://",
    ),
    (r"max number of clients", "it takes no more connections: raise its maxclients"),
    (
        r"DENIED|protected mode",
        "it lets nobody in but its own host: give it a password (requirepass, or protected-mode)",
    ),
    (r"unknown command '?SENTINEL", "it is no sentinel: begin MINDSTREAM_REDIS with redis://, or name the sentinels"),
    (
        r"No master found|MasterNotFound",
        "no sentinel that answers names a primary of this service: look at hosts and service in MINDSTREAM_REDIS, and "
        "at the sentinels",
    ),
    (r"DB index is out of range", "it has no database of that number: look at the end of MINDSTREAM_REDIS"),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "its certificate is not trusted: name in MINDSTREAM_REDIS the file of its authority (?ssl_ca_certs=ca.pem), "
        "and the host as the certificate does",
    ),
    (
        r"ALERT.*CERTIFICATE|CERTIFICATE.*ALERT",
        "it does not take our certificate, or asks for one: ssl_certfile and ssl_keyfile in MINDSTREAM_REDIS",
    ),
    (
        r"\bSSL\b|_ssl\.c|handshake",
        "TLS does not come about: MINDSTREAM_REDIS begins with rediss:// where Redis speaks TLS, "
        "with redis:// where not",
    ),
    (
        r"reset by peer|closed by server|Connection closed|Broken pipe|Protocol Error",
        "it broke the connection off: it has ended, or it speaks TLS, for which MINDSTREAM_REDIS begins with rediss://",
    ),
    (r"refused", "nothing listens there: start it, or correct host and port in MINDSTREAM_REDIS"),
    (r"connecting to /.*No such file", "there is no such socket: start it, or correct the path in MINDSTREAM_REDIS"),
    (
        r"Name or service not known|nodename nor servname|name resolution|No address associated",
        "the name of its host is not known: correct it in MINDSTREAM_REDIS, or ask whoever runs the DNS",
    ),
    (r"[Tt]imed? ?out|TimeoutError", "it does not answer: it hangs or is busy, or a firewall is before it"),
    (r"unreachable|No route", "its host cannot be reached: look at the network, and at the host in MINDSTREAM_REDIS"),
)


def reason_of(error: BaseException) -> str:
    """Say what a failure means and what to do, with the words of Redis in brackets.

    What is in no row of the table stays in its own words.
    """
    words = _words_of(error)
    told = "\n".join(f"{getattr(one, 'status_code', '')} {type(one).__name__} {one}" for one in _with_causes(error))
    meaning = next((meaning for pattern, meaning in MEANINGS if re.search(pattern, told)), None)
    return f"{meaning} ({words})" if meaning else words


def _words_of(error: BaseException) -> str:
    """Return the words of an error in one line, with the code that Redis put in front of them."""
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    code = getattr(error, "status_code", None)
    said = f"{code} {said}" if code and code != "ERR" and not said.startswith(code) else said
    return re.sub(r" ?: <redis\..*>|<redis\..*>", "", said)  # the client shows itself there


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what it came from in turn."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
