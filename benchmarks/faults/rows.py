"""The rows of the contract on faults and attacks, and the checks of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.faults import (
    data,
    disk,
    escapes,
    hostile_archives,
    hostile_models,
    hostile_weights,
    http_server,
    kill_targets,
    memory,
    mutated_images,
    network,
    power,
    ranks,
    recipes,
    signals,
    training,
)
from benchmarks.faults.outcome import Check


@dataclass(frozen=True)
class Row:
    """A row of the contract.

    Attributes:
        number: its number there.
        fault: the fault or attack.
        checks: what is tried.
        open: why there is nothing to check yet; empty if there is.
    """

    number: int
    fault: str
    checks: Sequence[Check] = ()
    open: str = ""


ROWS = (
    Row(
        1,
        "kill -9 while something is written",
        (
            Check("saving", kill_targets.saving),
            Check("pull", kill_targets.pull),
            Check("unpacking", kill_targets.unpacking),
            Check("feature cache", kill_targets.feature_cache),
            Check("split", kill_targets.split),
            Check("order of writes", power.order_of_writes),
        ),
    ),
    Row(2, "kill -9 at any step, then --resume", (Check("same result", training.same_result),)),
    Row(
        3,
        "Ctrl-C",
        (Check("training", signals.interrupt), Check("start", signals.early)),
    ),
    Row(
        4,
        "SIGTERM, and a closed pipe",
        (
            Check("training", signals.terminate),
            Check("other commands", signals.other_commands),
            Check("closed pipe", disk.closed_output),
        ),
    ),
    Row(
        5,
        "disk full, failing or over quota",
        (
            Check("saving", disk.save_fails),
            Check("training", disk.training_fails),
            Check("small disks", disk.full_disks),
            Check("output", disk.full_output),
        ),
    ),
    Row(
        6,
        "run folder read-only or gone, few handles",
        (
            Check("read-only", disk.read_only),
            Check("moved", disk.moved),
            Check("handles", disk.few_handles, in_short=False),
        ),
    ),
    Row(
        7,
        "newest checkpoint damaged",
        (Check("damage", training.damage), Check("other files", training.other_damage)),
    ),
    Row(8, "two runs in one folder", (Check("lock", training.two_runs),)),
    Row(
        9,
        "unreadable images",
        (Check("data set", data.unreadable), Check("mutations", mutated_images.mutations)),
    ),
    Row(10, "unusual but valid images", (Check("corpus", data.unusual),)),
    Row(11, "decompression bombs", (Check("bombs", mutated_images.bombs),)),
    Row(12, "classes with one image or none", (Check("split", data.small_classes),)),
    Row(13, "empty folders, other files, endless lists", (Check("folders", data.odd_folders),)),
    Row(14, "the same image in two lists or classes", (Check("copies", data.copies),)),
    Row(15, "other classes than the model's", (Check("classes", training.other_classes),)),
    Row(16, "loss or gradients not finite", (Check("overflow", training.not_finite),)),
    Row(
        17,
        "out of memory",
        (
            Check("training", memory.training),
            Check("container", memory.container),
            Check("other commands", memory.other_commands),
        ),
    ),
    Row(18, "a loader dies, raises or delivers nothing", (Check("loader", training.loader_dies),)),
    Row(
        19,
        "a rank or machine dies",
        (Check("killed", ranks.killed), Check("stopped", ranks.stopped, in_short=False)),
    ),
    Row(20, "weights damaged on the way", (Check("servers", network.servers),)),
    Row(21, "weights of another architecture", (Check("weights", training.other_weights),)),
    Row(
        22,
        "malicious pickle as weights",
        (Check("corpus", hostile_weights.corpus), Check("payloads", hostile_weights.payloads)),
    ),
    Row(23, "mistakes in recipes", (Check("mistakes", recipes.mistakes), Check("mutated", recipes.mutated))),
    Row(24, "paths of recipes that lead elsewhere", (Check("places", recipes.places),)),
    Row(
        25,
        "hostile archives",
        (
            Check("names", hostile_archives.names),
            Check("sizes", hostile_archives.sizes),
            Check("damage", hostile_archives.damaged),
        ),
    ),
    Row(
        26,
        "odd names of files and classes",
        (
            Check("commands", escapes.commands),
            Check("server", escapes.server_reason),
            Check("tables", escapes.tables),
            Check("pipeline", escapes.pipeline),
        ),
    ),
    Row(27, "markup in names", (Check("page", escapes.pages),)),
    Row(28, "data read-only, with loops, or changing", (Check("changes", data.changing),)),
    Row(29, "server: too large uploads", (Check("uploads", http_server.large),)),
    Row(30, "server: uploads that are no image", (Check("bodies", http_server.damaged),)),
    Row(31, "server: slow clients", (Check("clients", http_server.slow),)),
    Row(32, "server: 1,000 requests at once", (Check("burst", http_server.burst),)),
    Row(33, "server: foreign paths, hosts and origins", (Check("requests", http_server.foreign),)),
    Row(
        34,
        "hostile model folders and runs",
        (
            Check("models", hostile_models.models),
            Check("recipes of runs", hostile_models.run_recipes),
            Check("states", hostile_models.states),
            Check("manifest", hostile_models.sparse_manifest),
        ),
    ),
    Row(35, "secrets", (Check("secrets", network.secrets),)),
    Row(36, "no network", (Check("offline", network.offline), Check("blocked", network.blocked))),
)
