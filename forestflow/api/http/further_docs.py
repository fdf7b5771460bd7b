"""The further protocols on the OpenAPI page: their paths, which are answered ahead of FastAPI, with examples.

Those over gRPC are not here.
"""

from __future__ import annotations

from typing import Any

Operation = dict[str, Any]

TAGS = [
    {"name": "tensorflow serving", "description": "TensorFlow Serving's REST API."},
    {"name": "hopsworks", "description": "Hopsworks' inference path."},
    {"name": "graphpipe", "description": "GraphPipe: FlatBuffers both ways."},
    {"name": "tf-infer", "description": "tf-infer's REST API, below a contract."},
]

_OBJECT = {"type": "object"}
_MEANING = {
    400: "Malformed, or nothing that the model can take.",
    403: "The Host or Origin header names another site.",
    404: "No such model, version or path.",
    413: "The body is too large.",
    429: "A queue is full; try again after the seconds in Retry-After.",
    500: "A model or the server failed.",
    503: "Nothing that could answer is reachable now; try again after the seconds in Retry-After.",
    504: "The request's time ran out.",
}

_VERSION_OF = {
    "": "The contract's policies choose the release.",
    "/versions/{version}": "That release answers, whatever the policies say: a number of `GET /v1/models/{model}`, or "
    "the release version itself.",
    "/labels/{label}": "`stable`: the release of the greatest weight. `canary`: the newest that is still phasing in, "
    "else the stable one. `latest`: the one deployed last.",
}
_MODEL = (
    "`organization.project.contract_number`, an alias from the setting `model_aliases`, or the project alone where "
    "only one organization has it (then its highest contract number)."
)
_PARAMETERS = {
    "model": (_MODEL, "samples.energy_output.0"),
    "version": ("A release.", "1"),
    "label": ("`stable`, `canary` or `latest`.", "stable"),
    "project_id": ("Hopsworks' number of the project; not looked at.", 119),
    "organization": ("Who the use case belongs to.", "samples"),
    "project": ("What it is about.", "energy_output"),
    "contract_number": ("Which agreement about inputs and outputs.", 0),
    "signature": ("A signature of the list.", "serving_default"),
}

_ROW = {
    "TemperatureCelcius": 33.2,
    "ExhaustVacuumHg": 60.5,
    "AmbientPressureMillibar": 1010.7,
    "RelativeHumidity": 30.0,
}
_EXAMPLES = {"examples": [{"a": 1.5, "kind": "x"}]}
_VERBS: dict[str, tuple[str, str, dict[str, Any], Any]] = {
    "predict": (
        "Predict",
        "`instances` (row by row) are answered by `predictions`, `inputs` (tensor by tensor) by `outputs`; an only "
        'output has no name. `{"b64": …}` stands for bytes. `signature_name` chooses the signature; `params` are '
        "those of an MLmodel signature. NaN and Infinity may be bare.",
        {
            "by row": {"instances": [_ROW]},
            "by column": {"inputs": {name: [value] for name, value in _ROW.items()}},
        },
        {"predictions": [428.85680628132803]},
    ),
    "classify": (
        "Classify",
        "Features of examples, those in common as `context`; for each example a list of [label, score].",
        {"one example": _EXAMPLES},
        {"results": [[["setosa", 0.9], ["virginica", 0.1]]]},
    ),
    "regress": (
        "Regress",
        "Features of examples, those in common as `context`; a number for each.",
        {"one example": _EXAMPLES},
        {"results": [0.5]},
    ),
}
_STATUS = {
    "model_version_status": [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}
_TENSOR = {"dtype": "DT_DOUBLE", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}}
_METADATA = {
    "model_spec": {"name": "samples.energy_output.0", "signature_name": "", "version": "1"},
    "metadata": {
        "signature_def": {
            "signature_def": {
                "serving_default": {
                    "inputs": {},
                    "outputs": {"Regression": {"name": "Regression", **_TENSOR}},
                    "method_name": "tensorflow/serving/predict",
                }
            }
        }
    },
}
_ERROR = {"error": "Servable not found for request: Latest(samples.nobody.0)"}
_HOPSWORKS_ERROR = {
    "errorCode": 250000,
    "errorMsg": "Serving instance not found.",
    "usrMsg": "Servable not found for request: Latest(nobody)",
}


_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_CONTRACT = "/{organization}/{project}/{contract_number}"
_EXAMPLE = {"numeric": list(_ROW.values())}
_LISTED = [
    {
        "name": "serving_default",
        "inputs": {"numeric": {"type": "float64", "shape": [-1, 4]}},
        "outputs": {"Regression": {"type": "float64", "shape": [-1]}},
    }
]
_TFINFER_ERROR = {"error": "Request missing required key numeric for method serving_default"}


def paths() -> dict[str, dict[str, Operation]]:
    """OpenAPI's path items."""
    found: dict[str, dict[str, Operation]] = {}
    for at, whose in _VERSION_OF.items():
        base = "/v1/models/{model}" + at
        suffix = at.partition("/{")[0].replace("/", "_")
        for verb, (summary, description, requests, reply) in _VERBS.items():
            operation = _operation(f"tfserving_{verb}{suffix}", base, summary, f"{description} {whose}", reply)
            found[f"{base}:{verb}"] = {"post": {**operation, "requestBody": _body(requests)}}
        found[base] = {
            "get": _operation(f"tfserving_status{suffix}", base, "Versions and their states", whose, _STATUS)
        }
        found[base + "/metadata"] = {
            "get": _operation(f"tfserving_metadata{suffix}", base, "Signatures", whose, _METADATA)
        }
    base = "/hopsworks-api/api/project/{project_id}/inference/models/{model}"
    description = (
        "As TensorFlow Serving's predict; a Python model answers `inputs` by `predictions`, and its methods are the "
        "verbs `:predict`, `:classify` and `:regress`. `/versions/{version}` may stand before the verb."
    )
    reply = {"predictions": [7]}
    operation = _operation("hopsworks_predict", base, "Predict", description, reply, "hopsworks", _HOPSWORKS_ERROR)
    found[base + ":predict"] = {"post": {**operation, "requestBody": _body({"rows": {"inputs": [[3, 4]]}})}}
    return found | _graphpipe() | _tfinfer()


def _graphpipe() -> dict[str, dict[str, Operation]]:
    description = (
        "An InferRequest or a MetadataRequest of `proto/graphpipe.fbs`, answered by an InferResponse, errors too, or a "
        "MetadataResponse. The first output names the release; `?outputs=prediction` leaves it out."
    )
    operation = _operation("graphpipe", _CONTRACT, "Infer, or ask for metadata", description, None, "graphpipe")
    answers = {"200": {"description": "The answer, or the errors of a request.", "content": _BINARY}}
    outputs = {"name": "outputs", "in": "query", "schema": {"type": "string"}, "description": "Outputs, by name."}
    return {
        _CONTRACT + "/gp": {
            "post": {
                **operation,
                "parameters": [*operation["parameters"], outputs],
                "requestBody": {"required": True, "content": _BINARY},
                "responses": answers,
            }
        }
    }


def _tfinfer() -> dict[str, dict[str, Operation]]:
    description = (
        'One object of values by name is one example, a list of them are several. `{"b64": …}` stands for bytes at '
        'any depth, `{"url": …}` for what is there, on hosts of the setting `url_hosts`.'
    )
    base = _CONTRACT + "/infer"
    names = ("tfinfer_list", "tfinfer_call")
    listing = _operation(names[0], base, "Signatures", "With types and shapes.", _LISTED, "tf-infer", _TFINFER_ERROR)
    reply = {"Regression": 428.85680628132803}
    path = base + "/{signature}"
    call = _operation(names[1], path, "Call a signature", description, reply, "tf-infer", _TFINFER_ERROR)
    body = _body({"one example": _EXAMPLE, "several": [_EXAMPLE, _EXAMPLE]})
    body["content"]["application/json"]["schema"] = {"type": ["object", "array"]}
    return {base: {"get": listing}, path: {"post": {**call, "requestBody": body}}}


def _operation(
    name: str,
    path: str,
    summary: str,
    description: str,
    reply: Any,
    tag: str = "tensorflow serving",
    error: Any = _ERROR,
) -> Operation:
    return {
        "tags": [tag],
        "summary": summary,
        "description": description,
        "operationId": name,
        "parameters": [_parameter(part[1:-1]) for part in path.split("/") if part.startswith("{")],
        "responses": {
            "200": _answer("Done.", reply),
            **{str(status): _answer(meaning, error) for status, meaning in _MEANING.items()},
        },
    }


def _parameter(name: str) -> dict[str, Any]:
    description, example = _PARAMETERS[name]
    schema = {"type": "string" if isinstance(example, str) else "integer"}
    return {
        "name": name, "in": "path", "required": True, "schema": schema, "description": description, "example": example
    }  # fmt: skip


def _answer(meaning: str, example: Any) -> dict[str, Any]:
    schema = {"type": "array"} if isinstance(example, list) else _OBJECT
    return {"description": meaning, "content": {"application/json": {"schema": schema, "example": example}}}


def _body(requests: dict[str, Any]) -> dict[str, Any]:
    examples = {title: {"summary": title, "value": value} for title, value in requests.items()}
    return {"required": True, "content": {"application/json": {"schema": _OBJECT, "examples": examples}}}
