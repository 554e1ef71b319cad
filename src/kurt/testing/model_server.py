"""A model server that only pretends: OpenAI-compatible and Anthropic interfaces on loopback, with faults on demand.

Inside a test:

    with ModelServer(latency=0.02) as server:
        server.script("chapter 7", rate_limited(1.0), server_error())
        ...                                     # LLM.BASE_URL is server.url
        assert server.delivered == 1000

From a shell: `python -m kurt.testing.model_server --latency 0.02` prints its address as one line of JSON, and
`GET /kurt/log` and `POST /kurt/script` stand for the attributes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import threading
import time
from bisect import bisect_left
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from aiohttp import web

from kurt.testing.faults import Fault, fault_from_json
from kurt.testing.wire_answers import Answerer, Interface, interface_of, vectors

if TYPE_CHECKING:
    from kurt.types import JsonObject


_STOPPING = 0.2
_LARGEST_REQUEST = 64 * 1024 * 1024


@dataclass(slots=True)
class Arrival:
    """A call that reached the server.

    Attributes:
        number: counts up from 1.
        at: seconds since the epoch.
        path: which interface.
        model: which model was asked.
        prompt: the first message of the user, or the first text to embed; a re-ask has that of the call.
        fault: name of the fault that was played; empty for none.
        status: HTTP status of the answer; 0 until it is sent.
        delivered: whether the whole answer was handed to the connection.
        tokens_in: tokens of the prompt that the answer states.
        tokens_out: tokens of the answer that the answer states.
    """

    number: int
    at: float
    path: str
    model: str
    prompt: str
    fault: str = ""
    status: int = 0
    delivered: bool = False
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(slots=True)
class _Script:
    """Faults for prompts that hold a text, one a call, the last one for ever if it says so."""

    text: str
    faults: deque[Fault]
    always: Fault | None

    def next(self) -> Fault | None:
        return self.faults.popleft() if self.faults else self.always


class ModelServer:
    """The server, in a thread of its own; a context manager.

    Attributes:
        arrivals: all calls that reached it, in their order.
        bodies: what they sent, if `keep_bodies`.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        port: int = 0,
        key: str | None = None,
        models: tuple[str, ...] = (),
        answer: Answerer | None = None,
        keep_bodies: bool = True,
    ) -> None:
        """Prepare a server; `start` or `with` opens it.

        Args:
            latency: seconds that each answer takes.
            port: where it listens; 0 for any free port.
            key: the only key that is accepted; None accepts any.
            models: the only models that there are; empty for any.
            answer: makes the answers; by default they fit the schema, and text repeats nothing of the prompt.
            keep_bodies: keep what calls sent.
        """
        self.latency = latency
        self.arrivals: list[Arrival] = []
        self.bodies: list[JsonObject] = []
        self._port = port
        self._key = key
        self._models = models
        self._answer = answer
        self._keep_bodies = keep_bodies
        self._scripts: list[_Script] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address for `LLM.BASE_URL`, with `/v1`; both interfaces are there."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def delivered(self) -> int:
        """Answers that were handed over whole, and are no refusals."""
        return sum(
            arrival.delivered and arrival.status == web.HTTPOk.status_code for arrival in self.arrivals
        )

    def script(self, text: str, *faults: Fault, always: Fault | None = None) -> None:
        """Play faults for calls whose prompt holds a text: one a call, then `always`, else proper answers."""
        self._scripts.append(_Script(text, deque(faults), always))

    def busiest(self, window: float = 60.0) -> int:
        """The most calls that arrived within any stretch of so many seconds."""
        moments = sorted(arrival.at for arrival in self.arrivals)
        return max(
            (bisect_left(moments, start + window) - first for first, start in enumerate(moments)), default=0
        )

    def counts(self) -> JsonObject:
        """Calls, answers handed over, and the tokens that they state."""
        done = [
            arrival
            for arrival in self.arrivals
            if arrival.delivered and arrival.status == web.HTTPOk.status_code
        ]
        return {
            "arrived": len(self.arrivals),
            "delivered": len(done),
            "tokens_in": sum(arrival.tokens_in for arrival in done),
            "tokens_out": sum(arrival.tokens_out for arrival in done),
        }

    def reset(self) -> None:
        """Forget calls and scripts."""
        self.arrivals.clear()
        self.bodies.clear()
        self._scripts.clear()

    def start(self) -> Self:
        """Open the server; it answers when this returns."""
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="model-server", daemon=True)
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._open(), loop).result()
        return self

    def stop(self) -> None:
        """End the server and what it is still doing."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _open(self) -> web.ServerRunner:
        runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), handle_signals=False, shutdown_timeout=_STOPPING
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=1024)
        await site.start()
        self._port = runner.addresses[0][1]
        return runner

    async def _close(self) -> None:
        await self._runner.cleanup()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/kurt/"):
            return await self._control(request)
        at = time.time()
        try:
            body = json.loads(await request.read() or b"{}")
        except ConnectionError:  # whoever asks was killed in mid-request
            return web.Response()
        interface = interface_of(request.path)
        arrival = Arrival(
            len(self.arrivals) + 1, at, request.path, str(body.get("model")), interface.prompt(body)
        )
        self.arrivals.append(arrival)
        if self._keep_bodies:
            self.bodies.append(body)
        fault = self._refusal(request, interface, body) or self._scripted(arrival)
        if fault is not None:
            arrival.fault = fault.name
        if delay := self.latency + (fault.delay if fault else 0):
            await asyncio.sleep(delay)
        return await self._send(request, arrival, fault, self._body(interface, body, arrival, fault))

    def _refusal(self, request: web.BaseRequest, interface: Interface, body: JsonObject) -> Fault | None:
        """Why the call is not answered at all: wrong path, key or model, or a schema that is not strict."""
        if not interface.known:
            return Fault("unknown_path", 404, error=f"there is no {request.path}")
        given = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix(
            "Bearer "
        )
        if self._key is not None and given != self._key:
            return Fault(
                "wrong_key", 401, error=f"Incorrect API key provided: {given}", code="invalid_api_key"
            )
        if self._models and body.get("model") not in self._models:
            return Fault(
                "unknown_model",
                404,
                error=f"The model {body.get('model')} does not exist",
                code="model_not_found",
            )
        return interface.schema_fault(body)

    def _scripted(self, arrival: Arrival) -> Fault | None:
        for script in self._scripts:
            if script.text in arrival.prompt and (fault := script.next()) is not None:
                return fault
        return None

    def _body(self, interface: Interface, body: JsonObject, arrival: Arrival, fault: Fault | None) -> bytes:
        if fault is not None and fault.raw is not None:
            return fault.raw
        if fault is not None and fault.status != web.HTTPOk.status_code:
            return json.dumps(interface.error(fault)).encode()
        if interface.name == "embeddings":
            answer = vectors(body)
        else:
            said = fault.text if fault is not None and fault.text is not None else None
            reason = fault.finish_reason if fault is not None else "stop"
            answer = interface.answer(body, said, reason, self._answer)
        arrival.tokens_in, arrival.tokens_out = interface.tokens(answer)
        return json.dumps(answer).encode()

    async def _send(
        self, request: web.BaseRequest, arrival: Arrival, fault: Fault | None, body: bytes
    ) -> web.StreamResponse:
        status = fault.status if fault is not None else web.HTTPOk.status_code
        headers = {"Content-Type": "application/json", **(fault.headers if fault is not None else {})}
        if fault is not None and fault.cut_after is not None:
            return await _cut(request, body, headers, fault.cut_after)
        response = web.Response(status=status, body=body, headers=headers)
        await response.prepare(request)
        arrival.status = status
        arrival.delivered = request.transport is not None and not request.transport.is_closing()
        try:
            await response.write_eof()  # whoever asked may look at the log before this returns
        except OSError:  # whoever asked is gone
            arrival.delivered = False
        return response

    async def _control(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/kurt/script":
            for entry in json.loads(await request.read()):
                always = entry.get("always")
                faults = [fault_from_json(each) for each in entry.get("faults", ())]
                self.script(entry["text"], *faults, always=fault_from_json(always) if always else None)
            return web.json_response({"scripts": len(self._scripts)})
        if request.path == "/kurt/log":
            return web.json_response([asdict(arrival) for arrival in self.arrivals])
        if request.path == "/kurt/counts":
            return web.json_response(self.counts())
        return web.json_response({"error": "there are /kurt/log, /kurt/counts and /kurt/script"}, status=404)


async def _cut(
    request: web.BaseRequest, body: bytes, headers: dict[str, str], after: int
) -> web.StreamResponse:
    """Announce the whole body, send a part of it, and end the connection."""
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[:after])
    if request.transport is not None:
        request.transport.close()
    return response


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m kurt.testing.model_server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each answer takes")
    parser.add_argument("--key", help="the only key that is accepted")
    options = parser.parse_args(arguments)
    server = ModelServer(latency=options.latency, port=options.port, key=options.key, keep_bodies=False)
    with server, contextlib.suppress(KeyboardInterrupt):
        print(json.dumps({"url": server.url}), flush=True)  # noqa: T201 - its output
        threading.Event().wait()


if __name__ == "__main__":
    main()
