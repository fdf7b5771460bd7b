"""Every operation of the control API as data: paths, methods, and its words on the OpenAPI page.

An operation of several spellings lists them all; the first is the one to use, the others are kept for clients of the
original.
"""

from __future__ import annotations

from forestflow.api.http.operation import QUERY_ERRORS, TEXT, Operation

_CONTRACT = "/{organization}/{project}/{contract_number}"
_RELEASE = _CONTRACT + "/{release_version}"

_ANY = (400, 403, 500, 503)
_CHANGE = (*QUERY_ERRORS, 507)
_BODY = (408, 413, 415)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "score",
        "POST",
        (_CONTRACT + "/score",),
        "scoring",
        "Score records",
        "Prediction",
        "A release of the contract, picked by its policies, scores all records of the request. `X-Request-Timeout` "
        "(seconds) sets a deadline, `X-Request-Id` names the request in logs; the answer returns it.",
        (*QUERY_ERRORS, *_BODY, 429, 501, 504),
        "InferenceRequest",
    ),
    Operation(
        "deploy",
        "POST",
        ("/servable",),
        "servables",
        "Deploy a release",
        "ServableCreatedSuccessfully",
        "Copies the artifact, loads it and answers once a replica serves. Follow a slow one under its `/status`, "
        "which also says how far a download is. "
        "Contract settings may come along only for a contract that does not exist yet; without any it keeps the "
        "latest release and shares traffic by phase-in.\n\n"
        "`path` is a directory of the server (`file:///models`), a git repository "
        "(`git@host:org/project.git#v0.first`, `https://….git#tag`), S3 (`s3://bucket/folder`, "
        "`s3::https://host/bucket bucket=…`), an `https://` file, folder or archive, or a URL of an fsspec driver, as "
        "the settings `source_schemes` and `source_hosts` allow. It holds no credentials (400). A git tag "
        "`v<contract number>.<release version>` stands for an `fqrv`. `sha256` pins the artifact. A fetch that takes "
        "too long answers 504.\n\n"
        "A body without `flavor` is an `MLFlowServeRequest`: `path` leads to a folder with an `MLmodel` file, and the "
        "first flavor of that file that is supported is deployed.\n\n"
        "With `versions`, `path` is a base directory as TensorFlow Serving expects it: the directory `N` in it becomes "
        "release `N`, the flavor's path is relative to that directory, and the release version of `fqrv` is ignored. "
        "The directory is looked at every `pollSeconds` (2; 0: until every version there has been tried). `latest` "
        "(the `count` highest numbers), `all` or `specific` says which versions are served. Answers a "
        "`VersionsStatus` once each has been tried. The same again with other settings replaces the watch.",
        (*_CHANGE, *_BODY, 409, 504),
        "BasicServeRequest",
        or_reply="VersionsStatus",
    ),
    Operation(
        "deploy_as",
        "POST",
        ("/servable" + _RELEASE,),
        "servables",
        "Deploy a release, with its address in the path",
        "ServableCreatedSuccessfully",
        "As `POST /servable`; the address in the path counts before one in the body.",
        (*_CHANGE, *_BODY, 409, 504),
        "BasicServeRequest",
        or_reply="VersionsStatus",
    ),
    Operation(
        "versions",
        "GET",
        (_CONTRACT + "/versions",),
        "versions",
        "Where each version in the base directory stands",
        "VersionsStatus",
        "404 for a contract without version directories. `WAITING`: found, not yet deployed; `RETIRED`: there, but not "
        "served; `message` says why. A version is deployed when two looks in succession find its directory unchanged; "
        "one that is deployed already is not read again. A version that failed is tried again after a pause, or when "
        "its directory changes. A release goes only when another that stays can answer. A base directory that cannot "
        "be read changes nothing: `message` says so.",
    ),
    Operation(
        "update_versions",
        "PUT",
        (_CONTRACT + "/versions",),
        "versions",
        "Choose which versions are served",
        "VersionsStatus",
        "",
        (*_CHANGE, *_BODY),
        "VersionsUpdate",
    ),
    Operation(
        "unwatch_versions",
        "DELETE",
        (_CONTRACT + "/versions",),
        "versions",
        "Look for no more versions",
        "ContractUpdatedSuccessfully",
        "The releases stay. Deleting the contract with its last release ends it, too.",
        _CHANGE,
    ),
    Operation(
        "delete",
        "DELETE",
        (_RELEASE,),
        "servables",
        "Delete a release",
        "ServablesDeletedSuccessfully",
        "An unknown release counts as deleted. The last release takes its contract along.",
        _CHANGE,
    ),
    Operation(
        "update_policy",
        "PUT",
        (_RELEASE + "/policy", _RELEASE + "/policy-settings"),
        "servables",
        "Replace the policies of a release",
        "ServableUpdatedSuccessfully",
        "Its clocks and counters go on.",
        (*_CHANGE, *_BODY),
        "PolicySettings",
    ),
    Operation(
        "update_logging",
        "PUT",
        (_RELEASE + "/logging", _RELEASE + "/logging-settings"),
        "servables",
        "Replace the logging settings of a release",
        "ServableUpdatedSuccessfully",
        "",
        (*_CHANGE, *_BODY),
        "LoggingSettings",
    ),
    Operation(
        "update_shadow",
        "PUT",
        (_RELEASE + "/shadow", _RELEASE + "/shadow-settings"),
        "servables",
        "Replace the shadow settings of a release",
        "ServableUpdatedSuccessfully",
        "What is left out has its default. Running replicas follow at once, with the model they have; waiting "
        "shadows over a lower `maxBacklog` are dropped, oldest first.",
        (*_CHANGE, *_BODY),
        "ShadowSettings",
    ),
    Operation(
        "report_metrics",
        "POST",
        (_RELEASE + "/metrics",),
        "servables",
        "Report how well a release does",
        "ServableUpdatedSuccessfully",
        "Adds samples to named metrics, or with `replace` puts them in the place of what was reported before. The "
        "contract's `metrics` settings say how samples become one number, which shows in the statistics and drives "
        "`PerformanceBasedValidity`, `KeepTopRanked` and the `PerformanceRouter`. Several entries of one name are "
        "several samples in order; `count` is the number of observations behind a value, `timeMS` is now if left out.",
        (*_CHANGE, *_BODY),
        "MetricReports",
    ),
    Operation(
        "settings_of", "GET", (_RELEASE + "/settings",), "servables", "Settings of a release", "ServableSettings"
    ),
    Operation(
        "metadata_of", "GET", (_RELEASE + "/metadata",), "servables", "Inputs and outputs of a release", "BasicMetaData"
    ),
    Operation(
        "status_of",
        "GET",
        (_RELEASE + "/status",),
        "servables",
        "Where a release stands",
        "ServableStatus",
        "Answers while a deploy is under way, too.",
    ),
    Operation(
        "replicas",
        "GET",
        (_RELEASE + "/replicas",),
        "servables",
        "What each replica of a release does",
        "ReplicaStatus",
        "Its state, what waits in it, and how many calls its model had with batches of which size, so that merging can "
        "be seen.",
        many=True,
    ),
    Operation(
        "logs",
        "GET",
        (_RELEASE + "/logs",),
        "servables",
        "What a release's replicas write",
        TEXT,
        "The last `tail` lines of standard output, standard error and tracebacks of each replica; where there are "
        "several, below a line with the name of each. With `follow` the answer goes on as they write. Answers while a "
        "deploy is under way and after one that failed, too.",
    ),
    Operation("list_contracts", "GET", ("/contracts/list",), "contracts", "All contracts", "Contracts", "", _ANY),
    Operation(
        "create_contract",
        "POST",
        ("/contract" + _CONTRACT,),
        "contracts",
        "Create a contract",
        "ContractCreatedSuccessfully",
        "A deploy creates its contract by itself; do it apart to choose the settings first.",
        (*_CHANGE, *_BODY),
        "ContractSettings",
    ),
    Operation(
        "update_contract",
        "PUT",
        ("/contract" + _CONTRACT, _CONTRACT),
        "contracts",
        "Replace the settings of a contract",
        "ContractUpdatedSuccessfully",
        "",
        (*_CHANGE, *_BODY),
        "ContractSettings",
    ),
    Operation(
        "contract_settings",
        "GET",
        (_CONTRACT + "/contract-settings", _CONTRACT + "/c-settings"),
        "contracts",
        "Settings of a contract",
        "ContractSettings",
    ),
    Operation(
        "list_releases",
        "GET",
        (_CONTRACT + "/releases", _CONTRACT + "/list"),
        "contracts",
        "Releases of a contract",
        "FQRV",
        "422 when there is none.",
        many=True,
    ),
    Operation(
        "stats",
        "GET",
        (_CONTRACT + "/stats",),
        "contracts",
        "Counts and clocks of each release",
        "ServableMetrics",
        "422 when there is none. Times are milliseconds since 1970. `shadowDropCount`, where it is not 0, is how many "
        "shadows were not scored for want of room, of a replica, or of time; `unscoredCount`, how many requests of "
        "users were not scored because their client had left or their time was over; `refusedCount`, how many were "
        "refused because replicas were lost over them.",
        many=True,
    ),
    Operation(
        "servable_settings",
        "GET",
        (_CONTRACT + "/servable-settings", _CONTRACT + "/s-settings"),
        "contracts",
        "Settings of each release",
        "ServableSettings",
        "422 when there is none.",
        many=True,
    ),
    Operation(
        "metadata",
        "GET",
        (_CONTRACT + "/metadata",),
        "contracts",
        "Inputs and outputs of each release",
        "BasicMetaData",
        "An empty array when none is loaded.",
        many=True,
    ),
    Operation(
        "status",
        "GET",
        (_CONTRACT + "/status",),
        "contracts",
        "Where each release stands",
        "ServableStatus",
        "Those that are loading or failed among them.",
        many=True,
    ),
    Operation(
        "plan",
        "GET",
        (_CONTRACT + "/plan",),
        "plans",
        "What each release gets now, and why",
        "PlanExplanation",
        "Weights, shadows and, for each release, its validity rules one by one with the numbers and the time of the "
        "next change. Times are milliseconds since 1970.",
    ),
    Operation(
        "simulate",
        "POST",
        (_CONTRACT + "/plan/simulate",),
        "plans",
        "What other settings would do",
        "Simulation",
        "The timeline of shares from now on, for the settings given in the place of those in force. Nothing is "
        "changed. Metrics stay as they are; `eventsPerSecond` users' requests come in.",
        (*QUERY_ERRORS, *_BODY),
        "SimulationRequest",
    ),
    Operation(
        "history",
        "GET",
        (_CONTRACT + "/history",),
        "plans",
        "What happened, or what the plan was at a moment",
        "History",
        "Every event of the contract, oldest first, also of one that is gone. With `at`, a `PlanAt`: which release "
        "answered then with what weight, and the last event before. 404 where the contract never was, or not then.",
        or_reply="PlanAt",
    ),
    Operation(
        "rollback",
        "POST",
        (_CONTRACT + "/rollback",),
        "plans",
        "Go back to earlier settings",
        "ContractUpdatedSuccessfully",
        "Gives the contract and its living releases the settings they had after entry `seq` of the history. Clocks, "
        "counts and metrics go on; releases deleted since do not come back.",
        (*_CHANGE, *_BODY),
        "RollbackRequest",
    ),
    Operation("alive", "GET", ("/alive",), "health", "Whether the process answers", "Health", "", ()),
    Operation(
        "ready",
        "GET",
        ("/ready",),
        "health",
        "Whether every release that should answer does",
        "Health",
        "503 until then.",
        (503,),
    ),
)
