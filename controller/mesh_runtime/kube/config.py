"""How to reach an API server: kubeconfig contexts as kubectl reads them, or a pod's own account.

The library takes a quarter of a second to load, so it is loaded by what needs it: no help waits for it.
"""

import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_runtime.kube.address import connector, session
from mesh_runtime.kube.client import KubeClient
from mesh_runtime.kube.errors import KubeconfigError

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

_DEFAULT = "~/.kube/config"


@asynccontextmanager
async def connect(*, kubeconfig: Path | None = None, context: str | None = None) -> AsyncIterator[KubeClient]:
    """A client for one API server; closes its connections at the end. Does no request by itself.

    Without arguments: a pod's service account when there is one, else kubectl's rules ($KUBECONFIG, a
    list of files, else ~/.kube/config; the current context).

    Raises KubeconfigError when the file or the context cannot be used.
    """
    from kubernetes.aio import config as kubernetes_config
    from kubernetes.aio.client import Configuration

    configuration = Configuration()
    if kubeconfig is None and context is None and _in_a_pod():
        kubernetes_config.load_incluster_config(client_configuration=configuration)
        certificates = _ssl_context(configuration)
    else:
        with _no_keys_left_behind():
            await _load(configuration, kubeconfig=kubeconfig, context=context)
            certificates = _ssl_context(configuration)
    async with session(connector(certificates)) as talk:
        yield KubeClient(talk, server=configuration.host, authorization=_Authorization(configuration))


def current_context(*, kubeconfig: Path | None = None) -> str:
    """Name of the context that `connect` takes when it is given none; raises KubeconfigError.

    In a pod without a kubeconfig: "in-cluster".
    """
    if kubeconfig is None and _in_a_pod():
        return "in-cluster"
    source = source_of(kubeconfig)
    with as_kubeconfig_error(source):
        known, current = _contexts(source)
    if not current:
        raise KubeconfigError(
            f"{source} has no current context", next_step=f"choose one with --context: {', '.join(known)}"
        )
    return current


def context_names(*, kubeconfig: Path | None = None) -> list[str]:
    """All contexts that may be named, sorted; raises KubeconfigError."""
    source = source_of(kubeconfig)
    with as_kubeconfig_error(source):
        return _contexts(source)[0]


def _in_a_pod() -> bool:
    """A pod's own account is what kubectl takes last: when nobody has given it a kubeconfig."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ or os.environ.get("KUBECONFIG"):
        return False
    return not os.path.isfile(os.path.expanduser(_DEFAULT))


async def _load(configuration: "Configuration", *, kubeconfig: Path | None, context: str | None) -> None:
    from kubernetes.aio import config as kubernetes_config

    source = source_of(kubeconfig)
    with as_kubeconfig_error(source):
        known, current = _contexts(source)
        if context is not None and context not in known:
            raise KubeconfigError(
                f"{source} has no context {context!r}", next_step=f"use one of: {', '.join(known)}"
            )
        await kubernetes_config.load_kube_config(
            config_file=source,
            context=context or current or None,
            client_configuration=configuration,
            persist_config=False,
        )


def source_of(kubeconfig: Path | None) -> str:
    """The file, or the list of files, that kubectl would read; raises KubeconfigError when there is none."""
    source = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or _DEFAULT
    files = [Path(part).expanduser() for part in source.split(os.pathsep) if part]
    if not any(file.is_file() for file in files):
        raise KubeconfigError(
            f"there is no kubeconfig at {source}", next_step="give one with --kubeconfig or $KUBECONFIG"
        )
    return source


def _contexts(source: str) -> tuple[list[str], str]:
    """The names of all contexts, sorted, and of the current one, "" when none is set.

    Of several files the first one that sets a current context decides, as in kubectl; the library takes the
    last one's.
    """
    from kubernetes.aio.config.kube_config import KubeConfigMerger

    # Not the library's list_kube_config_contexts: it refuses a file without a current context, which is
    # a good one for whoever names his context.
    merger = KubeConfigMerger(source)
    set_by = (file.get("current-context") for file in merger.config_files.values())
    return sorted(node["name"] for node in merger.config["contexts"].value), next(filter(None, set_by), "")


@contextmanager
def as_kubeconfig_error(source: str) -> Iterator[None]:
    """What the library raises while it reads `source`, as a KubeconfigError."""
    import yaml
    from kubernetes.aio.config import ConfigException

    try:
        yield
    except (
        ConfigException,
        yaml.YAMLError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise KubeconfigError(
            f"the kubeconfig {source} cannot be used: {error}", next_step="correct it and try again"
        ) from error


_reading = 0


@contextmanager
def _no_keys_left_behind() -> Iterator[None]:
    """Deletes the files that the library writes for a kubeconfig's keys, once the last reader is through.

    The library keeps them until its process ends, so that one that is killed leaves a person's key behind
    in the folder for temporary files. A context that is made needs none of them any more.
    """
    global _reading  # the library's files belong to the process too
    _reading += 1
    try:
        yield
    finally:
        _reading -= 1
        if not _reading:
            from kubernetes.aio.config import kube_config

            kube_config._cleanup_temp_files()  # the library has no other way to say it


def _ssl_context(configuration: "Configuration") -> ssl.SSLContext:
    from kubernetes.aio.client.rest import RESTClientObject

    try:
        # The library builds the context from files, inline data and the skip-verify switch.
        context = RESTClientObject(configuration).ssl_context
    except (OSError, ssl.SSLError) as error:
        raise KubeconfigError(
            f"the certificates of the context cannot be read: {error}",
            next_step="correct the kubeconfig's certificate entries",
        ) from error
    assert isinstance(context, ssl.SSLContext)
    return context


class _Authorization:
    """The Authorization header, asked for anew at each request: tokens in pods change on disk."""

    def __init__(self, configuration: "Configuration") -> None:
        self._configuration = configuration

    async def __call__(self) -> dict[str, str]:
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": token} if token else {}
