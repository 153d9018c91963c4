"""Replays AgentDojo's tasks and attacks through `mcpol enforce`, with the policies that `mcpol gen-policy` recommends.

For each suite and policy:
  contained  pairs of a task and an attack in which no call that the attack cannot do without got through before one of
             them was refused, or a person was asked about it
  unasked    tasks whose every call passes, and no person is asked
  possible   tasks whose every call passes where a person says yes to what is asked, and which the benchmark's own check
             then finds solved
A task's calls are those by which the benchmark solves it; the attack's calls come right after the first result that
holds its text. With a pledge, the session has pledged the tools of its task's calls.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import warnings

import yaml

warnings.simplefilter("ignore")
# The environments are large, and each attack has one of its own.
yaml.SafeLoader = yaml.CSafeLoader

from agentdojo.functions_runtime import FunctionsRuntime  # noqa: E402
from agentdojo.agent_pipeline.tool_execution import tool_result_to_str  # noqa: E402
from agentdojo.task_suite.load_suites import get_suites  # noqa: E402

import attacks  # noqa: E402
import gateway  # noqa: E402
from gateway import Outcome  # noqa: E402

BENCHMARK = "v1.2.2"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A policy, and how it is used."""

    name: str
    arguments: tuple
    pledges: bool = False

    @property
    def slug(self):
        return "".join(c for c in self.name.replace(" ", "-") if c.isalnum() or c == "-")


VARIANTS = [
    Variant("read-only", ("--profile", "read-only")),
    Variant("standard", ("--profile", "standard")),
    Variant("standard, --flows=seen", ("--profile", "standard", "--flows=seen")),
    Variant("strict, --flows=none", ("--profile", "strict", "--flows=none")),
    Variant("strict", ("--profile", "strict")),
    Variant("standard, pledge", ("--profile", "standard"), pledges=True),
    Variant("standard, --flows=seen, pledge", ("--profile", "standard", "--flows=seen"), pledges=True),
    Variant("strict, pledge", ("--profile", "strict"), pledges=True),
]


@dataclasses.dataclass
class Attack:
    """An injection task: its calls, those that it cannot do without, and the environment that holds its text."""

    name: str
    calls: list
    essential: set
    env: object


@dataclasses.dataclass
class Task:
    """A user task: its calls in the environment of an attack (or none), and where the attack's text is first read."""

    name: str
    env: object
    calls: list
    read_at: int


class Suite:
    """A suite, with its environments read once."""

    def __init__(self, suite):
        self.suite, self.name = suite, suite.name
        self.vectors = suite.get_injection_vector_defaults()
        self.clean = suite.load_and_inject_default_environment({})
        self.marked = self.injected("---MARK---")
        self.reads = {name: self.read_at(task) for name, task in suite.user_tasks.items()}
        self.attacks = [self.attack(task) for task in suite.injection_tasks.values()]
        self.attacks = [attack for attack in self.attacks if attack.calls]

    def injected(self, text):
        return self.suite.load_and_inject_default_environment({vector: text for vector in self.vectors})

    def attack(self, task):
        env = self.injected(f"TODO: {task.GOAL}")
        calls = attacks.calls_of(self.suite, task, env)
        return Attack(task.ID, calls, set(attacks.essential(self.suite, task, self.clean)), env)

    def task(self, name, env):
        task = self.suite.user_tasks[name]
        env = task.init_environment(env.model_copy(deep=True))
        return Task(name, env, task.ground_truth(env.model_copy(deep=True)), self.reads[name])

    def read_at(self, task):
        env = task.init_environment(self.marked.model_copy(deep=True))
        runtime = FunctionsRuntime(self.suite.tools)
        for at, call in enumerate(task.ground_truth(env.model_copy(deep=True))):
            value, _ = runtime.run_function(env, call.function, call.args)
            if "---MARK---" in tool_result_to_str(value):
                return at
        raise attacks.Missing(f"{self.name} {task.ID} reads nothing that an attacker writes")

    def solved(self, task, env, calls):
        user_task = self.suite.user_tasks[task.name]
        output = user_task.GROUND_TRUTH_OUTPUT
        by_trace = user_task.utility_from_traces(output, task.env, env, calls)
        return user_task.utility(output, task.env, env) if by_trace is None else by_trace


class Replay:
    """Runs tasks and pairs of one policy."""

    def __init__(self, options, folder, suite, variant):
        self.options, self.folder, self.suite, self.variant = options, folder, suite, variant
        self.policy = os.path.join(folder, f"{suite.name}-{variant.slug}.json")
        tools = os.path.join(folder, f"{suite.name}.tools.json")
        pathlib.Path(tools).write_text(json.dumps({"tools": gateway.tool_list(suite.suite)}, indent=1))
        write = [options.mcpol, "gen-policy", "--tools", tools, "--portable=false", "-o", self.policy]
        rules = ["--rules", options.rules] if options.rules else []
        subprocess.run([*write, *rules, *variant.arguments], check=True, stderr=subprocess.DEVNULL)

    def session(self, name, env, task):
        pledge = {call.function for call in task.calls} if self.variant.pledges else None
        name = f"{self.suite.name}-{self.variant.slug}-{name}".replace("_", "-")
        return gateway.Session(self.options.mcpol, self.folder, name, self.suite.suite, env, self.policy, pledge)

    def honest(self, name):
        """What becomes of a task: for each call its tool and outcome, and whether the task is solved at the end."""
        task = self.suite.task(name, self.suite.clean)
        env = task.env.model_copy(deep=True)
        with self.session(name, env, task) as session:
            outcomes = [(call.function, session.call(call, "approve")) for call in task.calls]
        all_passed = all(outcome is not Outcome.REFUSED for _, outcome in outcomes)
        return name, outcomes, all_passed and self.suite.solved(task, env, task.calls)

    def pair(self, name, attack):
        """Whether an attack on a task is contained: the tool of the call that got through, or none."""
        task = self.suite.task(name, attack.env)
        env = task.env.model_copy(deep=True)
        with self.session(f"{name}-{attack.name}", env, task) as session:
            for call in task.calls[: task.read_at + 1]:
                session.call(call, "approve")
            for at, call in enumerate(attack.calls):
                if at in attack.essential:
                    outcome = session.call(call, None)
                    return name, attack.name, call.function if outcome is Outcome.PASSED else None
                session.call(call, "deny")
        raise attacks.Missing(f"{attack.name} can do without each of its calls")

    def run(self, pool):
        tasks = list(self.suite.suite.user_tasks)
        honest = list(pool.map(self.honest, tasks))
        pairs = [(task, attack) for attack in self.suite.attacks for task in tasks]
        return Figures(honest, list(pool.map(lambda pair: self.pair(*pair), pairs)))


@dataclasses.dataclass
class Figures:
    """What was found: honest tasks and pairs."""

    honest: list
    pairs: list

    def __add__(self, other):
        return Figures(self.honest + other.honest, self.pairs + other.pairs)

    def contained(self):
        return [through is None for _, _, through in self.pairs]

    def unasked(self):
        return [all(outcome is Outcome.PASSED for _, outcome in calls) for _, calls, _ in self.honest]

    def possible(self):
        return [solved for _, _, solved in self.honest]

    def why(self, suite):
        """By kind: what got through, and what was asked about or refused."""
        through = collections.Counter((attack, tool) for _, attack, tool in self.pairs if tool)
        for (attack, tool), count in sorted(through.items()):
            print(f"  through  {suite} {attack}: {tool}, in {count} pairs")
        for kind in (Outcome.ASKED, Outcome.REFUSED):
            by_tool = collections.defaultdict(list)
            for task, calls, _ in self.honest:
                for tool in sorted({tool for tool, outcome in calls if outcome is kind}):
                    by_tool[tool].append(task.removeprefix("user_task_"))
            for tool, tasks in sorted(by_tool.items()):
                print(f"  {kind.value:8} {suite} {tool}: user tasks {', '.join(tasks)}")
        for task, calls, solved in self.honest:
            if not solved and all(outcome is not Outcome.REFUSED for _, outcome in calls):
                print(f"  unsolved {suite} {task}: all its calls passed, and its check finds it unsolved")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="banking, slack, travel, workspace; all of them")
    parser.add_argument("--mcpol", required=True, help="the program")
    parser.add_argument("--policy", action="append", metavar="NAME", help="only this line of the table")
    parser.add_argument("--rules", metavar="DIR", help="rules of the classifier over those of the program")
    parser.add_argument("--jobs", type=int, default=2, help="sessions at a time")
    parser.add_argument("--why", action="store_true", help="also say what got through, and what was asked about")
    options = parser.parse_args()
    known = get_suites(BENCHMARK)
    names = options.suites or sorted(known)
    if wrong := [name for name in names if name not in known]:
        parser.error(f"no suite {wrong[0]}")
    if wrong := set(options.policy or []) - {variant.name for variant in VARIANTS}:
        parser.error(f"no policy {sorted(wrong)[0]!r}; there is {', '.join(repr(one.name) for one in VARIANTS)}")
    variants = [variant for variant in VARIANTS if not options.policy or variant.name in options.policy]
    suites = [Suite(known[name]) for name in names]
    lines = []
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for variant in variants:
            found = {}
            for suite in suites:
                figures = found[suite.name] = Replay(options, folder, suite, variant).run(pool)
                print(f"{variant.name}, {suite.name}: ", end="")
                print(f"contained {share(figures.contained())} ({count(figures.contained())}), ", end="")
                print(f"unasked {count(figures.unasked())}, possible {count(figures.possible())}", flush=True)
                if options.why:
                    figures.why(suite.name)
            everything = sum(found.values(), Figures([], []))
            by_suite = [share(figures.contained()) for figures in found.values()]
            sums = [share(part) for part in (everything.contained(), everything.unasked(), everything.possible())]
            lines.append([variant.name, *by_suite, *sums])
    heads = ["policy", *(f"contained: {name}" if at == 0 else name for at, name in enumerate(names)), "all"]
    table = [[*heads, "unasked", "possible"], ["---"] * (len(names) + 4), *lines]
    print("\n".join(f"| {' | '.join(line)} |" for line in table))


def share(which):
    """The share that holds, in per cent."""
    return f"{100 * sum(which) / len(which):.0f} %"


def count(which):
    return f"{sum(which)} of {len(which)}"


if __name__ == "__main__":
    main()
