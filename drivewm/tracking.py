"""Experiments in MLflow, and the only file that names it. It is loaded on the first use, because that takes seconds.

Without a server everything lands in ``RUNS/mlflow.db`` with artifacts beside it; ``uri`` or MLFLOW_TRACKING_URI names any server.
Lineage is a tag per ancestor, ``lineage.KIND = ID``: data set -> world model -> scores -> large policy -> small policy -> ONNX.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drivewm.config import runs_root
from drivewm.datatypes import Provenance, is_record
from drivewm.errors import InputError
from drivewm.store import read_json, write_json

EXPERIMENT = "drivewm"
LINEAGE = ("dataset", "autoencoder", "world", "suite", "scores", "teacher", "policy", "onnx")

_PARAMS_PER_CALL, _METRICS_PER_CALL, _FLUSH_EVERY_S = 100, 500, 2.0


class Run:
    """One entry of an experiment, open while the ``with`` block runs; it ends as FINISHED, FAILED or (Ctrl-C) KILLED.

    ``parent`` and ``run_id`` are ids of other runs: the one this belongs under, and the one to go on with.
    """

    def __init__(
        self, experiment: str, name: str, uri: str | None = None, *, parent: str | None = None, run_id: str | None = None
    ) -> None:
        self.experiment, self.name, self.parent = experiment, name, parent
        self.uri = tracking_uri(uri)
        self.id = run_id or ""
        self._note: Path | None = None
        self._pending: list[Any] = []
        self._flushed_s = time.monotonic()

    @classmethod
    def of_folder(cls, experiment: str, name: str, folder: str | Path, *, parent: str | None = None) -> Self:
        """The run that a folder belongs to: work that goes on in the folder goes on in the same run."""
        note, uri = Path(folder) / "mlflow.json", tracking_uri()
        known = read_json(note) if note.is_file() else {}
        run_id = known.get("run_id") if isinstance(known, dict) and known.get("uri") == uri else None
        run = cls(experiment, name, uri, parent=parent, run_id=run_id)
        run._note = note
        return run

    def __enter__(self) -> Self:
        _prepare()
        with _plain_errors(self.uri):
            self._client = _client(self.uri)
            experiment_id = _experiment_id(self._client, self.experiment, self.uri)
            if self.id and not self._reopened():
                self.id = ""
            if not self.id:
                tags = {"mlflow.parentRunId": self.parent} if self.parent else {}
                self.id = str(self._client.create_run(experiment_id, run_name=self.name, tags=tags).info.run_id)
            self.artifact_uri = str(self._client.get_run(self.id).info.artifact_uri)
        if self._note is not None:
            write_json(self._note, {"run_id": self.id, "uri": self.uri})
        return self

    def _reopened(self) -> bool:
        """Whether the run to go on with is still in the store."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.update_run(self.id, status="RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        status = "FINISHED" if kind is None else "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
        try:
            with _plain_errors(self.uri):
                self._flush()
                if error is not None:
                    self._client.set_tag(self.id, "error", f"{type(error).__name__}: {error}"[:500])
                self._client.set_terminated(self.id, status)
        except InputError:
            if error is None:  # otherwise what went wrong first is what the user must see
                raise

    def params(self, values: Mapping[str, Any] | Any) -> None:
        """Settings of the run; nested mappings and records become dotted names, long values are cut at 500 characters."""
        from mlflow.entities import Param

        known = self._client.get_run(self.id).data.params  # MLflow keeps the first value of a resumed run and refuses another
        flat = [Param(name, str(value)[:500]) for name, value in _flat("", values) if name not in known]
        with _plain_errors(self.uri):
            for start in range(0, len(flat), _PARAMS_PER_CALL):
                self._client.log_batch(self.id, params=flat[start : start + _PARAMS_PER_CALL])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Points of curves. They are collected and sent every two seconds and at the end."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        self._pending += [Metric(name, float(value), now_ms, step) for name, value in values.items()]
        if len(self._pending) >= _METRICS_PER_CALL or time.monotonic() - self._flushed_s > _FLUSH_EVERY_S:
            with _plain_errors(self.uri):
                self._flush()

    def artifact(self, path: str | Path, into: str = "") -> None:
        """A file, or a whole folder, copied into the run under the folder ``into``."""
        path = Path(path)
        if not path.exists():
            raise InputError("does not exist", file=path)
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        with _plain_errors(self.uri):
            log(self.id, str(path), into or None)

    def link(self, kind: str, id: str) -> None:
        """This run was made from (or made) the thing of that kind (one of LINEAGE) with that id."""
        if kind not in LINEAGE:
            raise ValueError(f"lineage knows {', '.join(LINEAGE)}, not {kind!r}")
        with _plain_errors(self.uri):
            self._client.set_tag(self.id, f"lineage.{kind}", id)

    def provenance(self, origin: Provenance) -> None:
        """Where the run comes from, as tags; its ids that are steps of the lineage become links."""
        with _plain_errors(self.uri):
            for name in ("version", "commit", "device", "seed"):
                self._client.set_tag(self.id, f"drivewm.{name}", str(getattr(origin, name)))
            for kind, id in origin.ids.items():
                self._client.set_tag(self.id, f"lineage.{kind}" if kind in LINEAGE else f"drivewm.{kind}", id)

    def register_onnx(self, name: str, path: str | Path, tags: Mapping[str, str] | None = None) -> int:
        """A new version of the registered model ``name`` from an ONNX file; returns the version number.

        `mlflow.onnx.load_model("models:/NAME/VERSION")` gives it back. The version carries ``tags`` and the run's lineage.
        """
        import mlflow.onnx
        import onnx
        import onnxruntime
        from mlflow.exceptions import MlflowException

        path = Path(path)
        try:
            model = onnx.load(str(path))
        except FileNotFoundError as error:
            raise InputError("does not exist", file=path) from error
        except Exception as error:  # protobuf raises DecodeError from one of two implementations
            raise InputError("is not an ONNX file", file=path) from error
        needs = [f"onnxruntime=={onnxruntime.__version__}"]  # given, so that nothing is inferred by trial installs
        with _plain_errors(self.uri), tempfile.TemporaryDirectory() as folder:
            mlflow.onnx.save_model(model, f"{folder}/onnx", pip_requirements=needs, save_as_external_data=False)
            self._client.log_artifacts(self.id, f"{folder}/onnx", "onnx")
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            lineage = {key: value for key, value in self._client.get_run(self.id).data.tags.items() if key.startswith("lineage.")}
            source = f"{self.artifact_uri}/onnx"
            version = self._client.create_model_version(name, source, run_id=self.id, tags={**lineage, **(tags or {})})
        return int(version.version)

    def _flush(self) -> None:
        while self._pending:
            self._client.log_batch(self.id, metrics=self._pending[:_METRICS_PER_CALL])
            del self._pending[:_METRICS_PER_CALL]
        self._flushed_s = time.monotonic()


def tracking_uri(uri: str | None = None) -> str:
    """The server or database in use: the argument, else MLFLOW_TRACKING_URI, else sqlite in the runs folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs_root() / 'mlflow.db'}"


def open_command(uri: str | None = None) -> str:
    """The shell command that shows the experiments in a browser."""
    return f"mlflow ui --backend-store-uri {tracking_uri(uri)}"


def _prepare() -> None:
    """Settings that MLflow reads while it is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine unasked
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a wrong address is reported in seconds, not minutes
    import mlflow  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    if not uri.startswith("sqlite:///"):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(database.with_suffix(".lock")):  # two processes must not both make the tables
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _experiment_id(client: Any, name: str, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = Path(uri.removeprefix("sqlite:///")).parent / "artifacts" if uri.startswith("sqlite:///") else None
    try:
        return str(client.create_experiment(name, artifact_location=location.as_uri() if location else None))
    except MlflowException:
        found = client.get_experiment_by_name(name)  # another process made it in between
        if found is None:
            raise
        return str(found.experiment_id)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _plain_errors(uri: str) -> Iterator[None]:
    """Whatever MLflow says about its store becomes one sentence; a full disk is said as such."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        text = str(error)
        if "disk is full" in text or "No space left" in text:
            raise InputError("no space left while writing the experiment", place=uri) from error
        first = text.strip().splitlines()[0][:200] if text.strip() else type(error).__name__
        raise InputError(f"experiment tracking failed: {first}", place=uri) from error


def _flat(prefix: str, values: Any) -> Iterator[tuple[str, Any]]:
    mapping = asdict(values) if is_record(values) else values
    if isinstance(mapping, Mapping):
        for name, value in mapping.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), value)
    else:
        yield prefix, values
