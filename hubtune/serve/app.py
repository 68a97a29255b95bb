"""The server's routes, as an ASGI application."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from hubtune.log import logger
from hubtune.serve import open_inference
from hubtune.serve.batch_body import batch_images, parse_object
from hubtune.serve.limits import (
    BodyReader,
    RequestError,
    ServeLimits,
    check_header_size,
    check_parameters,
    json_reply,
    read_flag,
)
from hubtune.serve.metrics import OTHER_ROUTE, ServeMetrics
from hubtune.serve.models import ModelTable, ServedModel
from hubtune.serve.page_files import PageFiles
from hubtune.serve.prediction_service import PredictionService, ServedPrediction, Wanted
from hubtune.serve.security import AccessCheck, AllowedHosts, send_with_security_headers

SCHEMA_VERSION = 1
_RELOAD_SECONDS = 2.0

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class ServeOptions:
    """How a server answers.

    Attributes:
        hosts: names under which it may be asked, beside addresses and localhost.
        token: that requests must name; ``None``: none.
        threads: that decode; ``None``: as many as there are cores.
        reload: whether models are exchanged when their folders change.
        limits: what it accepts.
    """

    hosts: tuple[str, ...] = ()
    token: str | None = None
    threads: int | None = None
    reload: bool = False
    limits: ServeLimits = field(default_factory=ServeLimits)


class ServeApp:
    """The ASGI application."""

    def __init__(self, models: ModelTable, options: ServeOptions) -> None:
        """Take the models, which are started, and start the threads that answer."""
        self._models, self._options = models, options
        self.metrics = ServeMetrics()
        self.service = PredictionService(options.limits, self.metrics, threads=options.threads)
        self._bodies = BodyReader(options.limits)
        self.metrics.watch(lambda: self.service.waiting, lambda: self._bodies.buffered)
        self._access = AccessCheck(AllowedHosts(options.hosts), options.token)
        self._page = PageFiles(needs_token=options.token is not None)
        self._openapi = (files("hubtune.serve") / "openapi.json").read_bytes()
        self.routes = self._routes()
        handlers = {HTTPException: _http_error, RequestError: _request_error}
        self._app = Starlette(routes=self.routes, exception_handlers=handlers, lifespan=self._lifespan)
        # A redirect would repeat what the client has named as the host.
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, began = time.monotonic(), 500, False

        async def send_safely(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                status, began = message["status"], True
            await send_with_security_headers(send, message)

        try:
            check_header_size(scope, self._options.limits)
            self._access.check(scope)
            if scope["method"] == "POST":
                # Here, at the lowest cost: nothing else is refused as often.
                self.service.check_free()
            await self._app(scope, receive, send_safely)
        except RequestError as error:
            await error.reply()(scope, receive, send_safely)
        except ClientDisconnect:
            status = 499  # as nginx counts them; there is nobody to answer
        except Exception as error:  # noqa: BLE001  # of any part: the server goes on
            logger.exception("a request could not be answered")
            if not began:
                reply = RequestError(500, "internal_error", f"An error of the server: {type(error).__name__}")
                await reply.reply()(scope, receive, send_safely)
        finally:
            route = getattr(scope.get("route"), "path", OTHER_ROUTE)
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - start)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(self._reload_often()) if self._options.reload else None
        yield
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.service.close()

    async def _reload_often(self) -> None:
        while True:
            await asyncio.sleep(_RELOAD_SECONDS)
            try:
                # In a thread of its own: reading and starting a model takes seconds.
                for name in await asyncio.to_thread(self._models.reload_changed):
                    self.metrics.reloads.labels(name).inc()
            except Exception:  # noqa: BLE001  # of an engine; the former model stays
                logger.exception("a changed model could not be started")

    def _routes(self) -> list[Route]:
        gets: dict[str, Endpoint] = {
            "/": self._get_page,
            **dict.fromkeys(PageFiles.paths(), self._get_page_file),
            "/healthz": _get_health,
            "/readyz": self._get_ready,
            "/metrics": self._get_metrics,
            "/openapi.json": self._get_openapi,
            "/models": self._get_models,
            "/v2": self._get_server_metadata,
            "/v2/health/live": _get_health,
            "/v2/health/ready": self._get_ready,
            "/v2/models/{name}": self._get_model_metadata,
            "/v2/models/{name}/ready": self._get_model_ready,
        }
        posts: dict[str, Endpoint] = {
            "/predict": self._predict,
            "/predict/batch": self._predict_batch,
            "/models/{name}/predict": self._predict,
            "/models/{name}/predict/batch": self._predict_batch,
            "/v2/models/{name}/infer": self._infer,
        }
        return [
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in gets.items()),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in posts.items()),
        ]

    async def _predict(self, request: Request) -> Response:
        check_parameters(request, "reject", "explain")
        served = self._model_of(request)
        wanted = Wanted(read_flag(request, "reject"), read_flag(request, "explain"))

        async def answer(body: bytes) -> Response:
            [prediction] = await self.service.predict(served, [body], wanted)
            prediction.check_readable()
            return json_reply(
                {"schema_version": SCHEMA_VERSION, "model": served.name} | prediction.as_dict(None)
            )

        return await self._with_body(request, answer)

    async def _predict_batch(self, request: Request) -> Response:
        check_parameters(request, "reject", "explain")
        served = self._model_of(request)
        wanted = Wanted(read_flag(request, "reject"), read_flag(request, "explain"))

        async def answer(body: bytes) -> Response:
            most = self._options.limits.images_per_request
            images = await self.service.in_pool(lambda: batch_images(body, most))
            found = await self.service.predict(served, images, wanted)
            rows = [each.as_dict(f"images[{number}]") for number, each in enumerate(found)]
            return json_reply({"schema_version": SCHEMA_VERSION, "model": served.name, "rows": rows})

        return await self._with_body(request, answer)

    async def _infer(self, request: Request) -> Response:
        try:
            return await self._infer_or_refuse(request)
        except RequestError as error:
            return error.reply(error=error.message)  # the key that the protocol has

    async def _infer_or_refuse(self, request: Request) -> Response:
        check_parameters(request)
        served = self._model_of(request)
        if "inference-header-content-length" in request.headers:
            raise RequestError(
                415,
                "binary_data",
                "Binary tensors are not taken: send base64 in JSON, with binary_data=False",
            )

        def read(body: bytes) -> tuple[dict[str, object], list[bytes]]:
            document = dict(parse_object(body))
            open_inference.wanted_outputs(document, multi_label=served.model.card.multi_label)
            open_inference.request_id(document)
            return document, open_inference.infer_images(document, self._options.limits.images_per_request)

        async def answer(body: bytes) -> Response:
            document, images = await self.service.in_pool(lambda: read(body))
            found: list[ServedPrediction] = await self.service.predict(served, images, Wanted())
            for prediction in found:
                prediction.check_readable()
            rows, labels = [prediction.row for prediction in found], served.model.labels
            multi_label = served.model.card.multi_label
            reply = open_inference.answer(served.name, labels, rows, document, multi_label=multi_label)
            return json_reply(reply)

        return await self._with_body(request, answer)

    async def _with_body(self, request: Request, answer: Callable[[bytes], Awaitable[Response]]) -> Response:
        """Read the body, and answer; it counts as memory in use until then."""
        body = await self._bodies.read(request)
        try:
            return await answer(body)
        finally:
            self._bodies.release(len(body))

    def _model_of(self, request: Request) -> ServedModel:
        name = request.path_params.get("name")
        served = self._models.default if name is None else self._models.find(name)
        if served is None:
            known = ", ".join(self._models.names)
            raise RequestError(404, "unknown_model", f"There is no model of this name; there is {known}")
        return served

    async def _get_page(self, request: Request) -> Response:
        return self._page.page(request.query_params.get("lang"), request.headers.get("accept-language", ""))

    async def _get_page_file(self, request: Request) -> Response:
        return self._page.file(request.url.path)

    async def _get_ready(self, request: Request) -> Response:
        if not self.service.is_ready:
            raise RequestError(503, "not_ready", "The engine does not run")
        return json_reply({"status": "ready", "ready": True})

    async def _get_metrics(self, request: Request) -> Response:
        return self.metrics.reply()

    async def _get_openapi(self, request: Request) -> Response:
        return Response(self._openapi, media_type="application/json")

    async def _get_models(self, request: Request) -> Response:
        found = [self._models.find(name) for name in self._models.names]
        models = [
            {
                "name": served.name,
                "labels": served.model.labels,
                "rejects": served.model.reference is not None,
                "multi_label": served.model.card.multi_label,
            }
            for served in found
            if served is not None
        ]
        return json_reply({"schema_version": SCHEMA_VERSION, "models": models})

    async def _get_server_metadata(self, request: Request) -> Response:
        return json_reply(open_inference.server_metadata(version("hubtune")))

    async def _get_model_metadata(self, request: Request) -> Response:
        served = self._model_of(request)
        return json_reply(open_inference.model_metadata(served.name, served.model))

    async def _get_model_ready(self, request: Request) -> Response:
        served = self._model_of(request)
        return json_reply({"name": served.name, "ready": self.service.is_ready})


async def _get_health(request: Request) -> Response:
    return json_reply({"status": "alive", "live": True})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        refusal = RequestError(404, "not_found", "There is nothing at this address: see /openapi.json")
    elif error.status_code == 405:
        refusal = RequestError(405, "wrong_method", "This address takes another method", error.headers)
    else:
        refusal = RequestError(error.status_code, "refused", error.detail, error.headers)
    return refusal.reply()


async def _request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error.reply()
