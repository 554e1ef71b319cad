"""The documents of a run, side by side: got, read, and stored in groups."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kurt.config.current import current_settings
from kurt.content.files import Stored, write_document
from kurt.content.markdown import clean, content_hash
from kurt.content.search import current_model
from kurt.core import generate_embeddings
from kurt.core.embeddings import embedding_to_bytes
from kurt.core.gathering import Gathering
from kurt.core.loops import wait_for
from kurt.core.rows import draw
from kurt.core.tracking import WorkflowTracker, count
from kurt.db import managed_session
from kurt.errors import KurtError

from . import store
from .choosing import Engines
from .config import FetchConfig
from .engines import Brought, Target
from .extraction import Extraction
from .memory import give_back_large_blocks, swept_cheaply
from .models import FetchStatus
from .store import Outcome

if TYPE_CHECKING:
    import sqlalchemy as sa

    from kurt.core.gathering import Write
    from kurt.runtime.step_batch import StepBatch
    from kurt.types import Json

STEP = "fetch_documents"
"""Durable name of the step."""

LINGER = 5.0
"""Seconds after which documents are stored that are fewer than a batch."""

MODULE = "fetch"
"""Workflow module for settings of models."""

_COLLECT_AFTER = 16_000_000
"""Bytes of bodies after which memory is tidied up."""

_log = logging.getLogger(__name__)
_SHOWN_AS = {
    FetchStatus.FETCHED: "success",
    FetchStatus.UNCHANGED: "success",
    FetchStatus.GONE: "skipped",
    FetchStatus.ERROR: "error",
}


def fetch_documents(config: FetchConfig, ids: Sequence[str], workflow_id: str) -> dict[str, str]:
    """Fetch documents and wait for them; to be called from the body of a workflow. How each came out, by id."""
    batch = draw(len(ids))  # a group holds at least one document
    give_back_large_blocks()
    with swept_cheaply():
        return wait_for(_Fetching(config, workflow_id, batch).run(ids))


class UnexpectedError(KurtError):
    """Fetching it failed in an unexpected way."""

    code = "unexpected"


class _Fetching:
    """One run over documents."""

    def __init__(self, config: FetchConfig, workflow_id: str, batch: StepBatch | None) -> None:
        self._config = config
        self._workflow_id = workflow_id
        self._settings = current_settings()
        self._engines = Engines(config, self._settings)
        self._extraction = Extraction(config.page_seconds)
        self._tracker = WorkflowTracker()
        self._progress = self._tracker.start_step(STEP, step_type="rows")
        self._statuses: dict[str, str] = {}
        self._model: str | None = None
        self._unswept = 0
        self._gathering: Gathering[Outcome] = Gathering(
            STEP,
            batch=batch,
            group=config.batch_size,
            linger=LINGER,
            prepare=self._prepare,
            plainly=_plainly,
        )

    async def run(self, ids: Sequence[str]) -> dict[str, str]:
        """Fetch those that are not stored yet."""
        self._progress.total = len(ids)
        for value in await self._gathering.recorded(len(ids)):
            self._note(value["documents"])
        left = [identity for identity in ids if identity not in self._statuses]
        self._model = await asyncio.to_thread(_model) if self._config.embed else None
        targets = await asyncio.to_thread(self._targets, left)
        self._engines.check(target.uri for target in targets)
        queue = _Queue(targets, self._config.per_host)
        beside = asyncio.ensure_future(self._gathering.keep_storing())
        workers = [
            asyncio.ensure_future(self._work(queue)) for _ in range(min(self._config.concurrency, len(left)))
        ]
        try:
            await _all(workers, beside)
            await self._gathering.flush()
        finally:
            for task in (beside, *workers):
                task.cancel()
            await asyncio.gather(beside, *workers, return_exceptions=True)
            await self._engines.close()
            self._tracker.end_step(STEP, status="partial" if self._progress.error else "success")
        return self._statuses

    def _targets(self, ids: Sequence[str]) -> list[Target]:
        with managed_session() as session:
            folder = self._settings.sources_dir
            return store.targets(session.connection(), ids, folder, full=self._config.full)

    def _note(self, documents: Iterable[tuple[str, str]]) -> None:
        """Count what a group came to; once for all of it, since showing costs as much as counting."""
        for identity, status in documents:
            self._statuses[identity] = status
            count(self._progress, _SHOWN_AS[FetchStatus(status)])
        self._tracker.changed(self._progress)

    async def _work(self, queue: _Queue) -> None:
        while (target := await queue.take()) is not None:
            try:
                outcome = await self._outcome(target)
            finally:
                queue.give_back(target)
            await self._gathering.add(outcome)

    async def _outcome(self, target: Target) -> Outcome:
        """Get a document and read it; whatever goes wrong concerns it alone."""
        name = self._engines.name_for(target.uri)
        try:
            brought = await self._engines.get(name).bring(target)
            return await self._read(target, name, brought)
        except KurtError as error:
            return Outcome(target=target, engine=name, status=FetchStatus.ERROR, error=error)
        except Exception as error:  # noqa: BLE001 - one document must not take the others with it; its row says why
            _log.warning("fetching %s failed unexpectedly", target.uri, exc_info=error)
            found = UnexpectedError(f"{type(error).__name__}: {error}"[:300])
            return Outcome(target=target, engine=name, status=FetchStatus.ERROR, error=found)

    async def _read(self, target: Target, engine: str, brought: Brought) -> Outcome:
        sent = None if brought.body is None else len(brought.body)
        if brought.gone is not None or brought.unchanged:
            status = FetchStatus.UNCHANGED if brought.unchanged else FetchStatus.GONE
            return Outcome(target=target, engine=engine, status=status, brought=brought)
        facts, extracted = brought.facts, brought.markdown is None
        markdown = brought.markdown
        if markdown is None:
            facts = {**facts, **await self._extraction.text_of(brought, brought.url or target.uri)}
            markdown = facts.pop("markdown")
        markdown = clean(markdown)
        if not markdown.strip():
            raise KurtError("the document has no text")
        known = content_hash(markdown)
        same = known == target.content_hash
        return Outcome(
            target=target,
            engine=engine,
            status=FetchStatus.UNCHANGED if same else FetchStatus.FETCHED,
            brought=replace(brought, body=None, markdown=None),
            markdown=markdown,
            facts=facts,
            content_hash=known,
            size=len(markdown.encode("utf-8", "replace")),
            bytes=sent,
            extracted=extracted,
        )

    async def _prepare(self, outcomes: Sequence[Outcome]) -> tuple[Json, Write]:
        """Write the texts of a group; its checkpoint and its rows follow together."""
        written = await asyncio.to_thread(self._write_files, outcomes)
        vectors = await asyncio.to_thread(self._vectors, written)

        def write(connection: sa.Connection) -> None:
            store.record(connection, self._workflow_id, written, vectors, self._model)

        noted = [(one.target.id, one.status.value) for one in written]
        self._note(noted)
        self._unswept += sum(one.bytes or 0 for one in written)
        if self._unswept > _COLLECT_AFTER:
            self._unswept = 0
            gc.collect()  # commands of Kurt collect seldom, and what is left of answers and texts is large
        return {"documents": [list(one) for one in noted]}, write

    def _write_files(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        return [one if one.markdown is None else replace(one, path=self._write_file(one)) for one in outcomes]

    def _write_file(self, one: Outcome) -> str:
        stored = Stored(
            uri=one.target.uri,
            markdown=one.markdown or "",
            **{name: one.facts.get(name) for name in ("title", "author", "published", "language")},
        )
        return write_document(self._settings.sources_dir, stored)

    def _vectors(self, outcomes: Sequence[Outcome]) -> dict[str, bytes]:
        """Vectors of texts that have none yet. Without them a document is found by its words only."""
        texts = {one.content_hash: one.markdown for one in outcomes if one.status is FetchStatus.FETCHED}
        if self._model is None or not texts:
            return {}
        try:
            with managed_session() as session:
                missing = store.unembedded(session.connection(), self._model, filter(None, texts))
            return self._embedded({known: text for known, text in texts.items() if known in missing and text})
        except Exception as error:  # noqa: BLE001 - vectors can be made later, the texts are here now
            message = f"no vectors for {len(texts)} documents: {error}"
            self._tracker.log(message[:500], level="warning", step_name=STEP)
            return {}

    def _embedded(self, texts: dict[Any, str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        hashes, most = list(texts), self._config.embedding_batch_size
        for start in range(0, len(hashes), most):
            some = hashes[start : start + most]
            beginnings = [texts[known][: self._config.embedding_max_chars] for known in some]
            vectors = generate_embeddings(beginnings, module_name=MODULE, step_name="fetch_embed")
            found |= {known: embedding_to_bytes(vector) for known, vector in zip(some, vectors, strict=True)}
        return found


class _Queue:
    """Documents that wait, by server: one that is slow does not take all places."""

    def __init__(self, targets: Sequence[Target], per_host: int) -> None:
        self._waiting: defaultdict[str, deque[Target]] = defaultdict(deque)
        for target in targets:
            self._waiting[store.host_of(target.uri)].append(target)
        self._turns = deque(self._waiting)
        self._at_work: defaultdict[str, int] = defaultdict(int)
        self._per_host = per_host
        self._freed = asyncio.Condition()

    async def take(self) -> Target | None:
        """The next document, None when there is none left."""
        async with self._freed:
            while self._turns:
                for _ in range(len(self._turns)):
                    host = self._turns[0]
                    self._turns.rotate(-1)
                    if not host or self._at_work[host] < self._per_host:
                        return self._taken(host)
                await self._freed.wait()
            return None

    def _taken(self, host: str) -> Target:
        self._at_work[host] += 1
        target = self._waiting[host].popleft()
        if not self._waiting[host]:
            self._turns.remove(host)
        return target

    def give_back(self, target: Target) -> None:
        """A document's server has a free place."""
        self._at_work[store.host_of(target.uri)] -= 1
        asyncio.ensure_future(self._notify())  # noqa: RUF006 - those who wait hold the condition

    async def _notify(self) -> None:
        async with self._freed:
            self._freed.notify_all()


async def _all(workers: Sequence[asyncio.Task[None]], beside: asyncio.Task[None]) -> None:
    """Wait for all workers; what one of them or the task beside them raises ends all."""
    together = asyncio.gather(*workers)
    done, _ = await asyncio.wait([together, beside], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    await together


def _plainly(write: Write) -> None:
    with managed_session() as session:
        write(session.connection())


def _model() -> str | None:
    """What makes vectors; None where the settings do not fit, which must not fail a fetch."""
    try:
        return current_model()
    except KurtError as error:
        _log.warning("no vectors: %s", error.message)
        return None
