"""Plays the part of a runner: takes the examples of docs/ci.md to the letter and runs the steps of action.yml as they ask.

    runner.py job NAME          the job of the first workflow in docs/ci.md, in the current directory
    runner.py lines             the two lines without the action
    runner.py gitlab            the job of GitLab
    runner.py hooks KIND        prints the pre-commit configuration (`repo` or `local`)

Expressions that it knows are those that stand in the two files; any other is an error, and so is one inside a script.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((TOP / "action.yml").read_text(encoding="utf-8"))
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def blocks():
    """The YAML examples of the page, in order."""
    text = (TOP / "docs/ci.md").read_text(encoding="utf-8")
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)


def the(word):
    found = [block for block in blocks() if word in block]
    assert len(found) == 1, f"{len(found)} examples with {word}"
    return found[0]


def value(text, inputs):
    def one(found):
        expression = found[1]
        if expression.startswith("inputs."):
            return inputs[expression.removeprefix("inputs.")]
        if expression.startswith("secrets."):
            return "dummy"
        sys.exit(f"an expression that this runner does not know: {expression}")

    return EXPRESSION.sub(one, str(text))


def script(text, env):
    """One step, as a runner starts it."""
    assert "${{" not in text, "an expression inside a script is an injection"
    return subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text], env=env, check=False).returncode


def action(step, env):
    """The steps of action.yml with the inputs of this step; the first that fails ends it."""
    given = step.get("with", {})
    unknown = set(given) - set(ACTION["inputs"])
    assert not unknown, f"no such inputs: {unknown}"
    text = lambda it: str(it).lower() if isinstance(it, bool) else str(it)
    inputs = {name: text(given.get(name, spec["default"])) for name, spec in ACTION["inputs"].items()}
    for part in ACTION["runs"]["steps"]:
        assert "uses" not in part, "the action takes another one: pin it to a commit, and check that here"
        if part.get("if") == "inputs.version != ''" and not inputs["version"]:
            continue
        code = script(part["run"], env | {name: value(it, inputs) for name, it in part.get("env", {}).items()})
        if code:
            return code
    return 0


def job(name):
    found = yaml.safe_load(the("workflow_dispatch"))["jobs"][name]
    env = os.environ | {key: value(it, {}) for key, it in found.get("env", {}).items()}
    steps = [step for step in found["steps"] if step["uses"].startswith("OWNER/mcpol@")]
    assert len(steps) == 1, "one step with the action"
    return action(steps[0], env)


def lines():
    steps = yaml.safe_load(the("- run: mcpol check"))
    for step in steps:
        code = script(step["run"], dict(os.environ))
        if code:
            return code
    return 0


def gitlab():
    for line in yaml.safe_load(the("image: rust"))["mcpol"]["script"]:
        code = script(line, dict(os.environ))
        if code:
            return code
    return 0


def hooks(kind):
    print(the("repo: local" if kind == "local" else "rev: v"), end="")
    return 0


if __name__ == "__main__":
    sys.exit({"job": job, "lines": lines, "gitlab": gitlab, "hooks": hooks}[sys.argv[1]](*sys.argv[2:]))
