"""Instances in programs of their own: how they begin, go on and end."""

from __future__ import annotations

import signal
import threading

import pytest

from iii_sdk import IIIInvocationError

#: The Python worker of the published documentation, with a model that needs no download.
EMBEDDING = """
import asyncio
import os
from iii_sdk import III

class Vectors(list):
    shape = (2, 3)

class Vector(list):
    def tolist(self):
        return list(self)

class Model:
    def encode(self, texts, normalize_embeddings):
        return Vectors(Vector([len(text), 0.0, 1.0]) for text in texts)

def get_model():
    return Model()

# 1. Create III instance with worker name
iii = III(
    "ws://localhost:49134",
    worker_name="embedding",
)

# 2. Register function using decorator
@iii.function(
    id="embedding::generate",
    description="Generate text embeddings"
)
async def generate_embedding(input):
    text = input.get("text", "")
    batch = input.get("batch")
    model = get_model()
    if batch:
        embeddings = model.encode(batch, normalize_embeddings=True)
        return {
            "embeddings": [e.tolist() for e in embeddings],
            "dim": embeddings.shape[1],
        }
    embedding = model.encode([text], normalize_embeddings=True)[0]
    return {"embedding": embedding.tolist(), "dim": len(embedding)}

@iii.function(
    id="embedding::similarity",
    description="Compute cosine similarity"
)
async def compute_similarity(input):
    a = input.get("a", [])
    b = input.get("b", [])
    if len(a) != len(b) or not a:
        return {"similarity": 0.0}
    dot = sum(x * y for x, y in zip(a, b))
    norm_a = sum(x * x for x in a) ** 0.5
    norm_b = sum(x * x for x in b) ** 0.5
    denom = norm_a * norm_b
    return {"similarity": dot / denom if denom > 0 else 0.0}

# 3. Keep worker running
async def main():
    print("embedding worker started")
    try:
        await asyncio.Event().wait()
    except KeyboardInterrupt:
        await iii.shutdown()

if __name__ == "__main__":
    asyncio.run(main())
"""

#: A program whose main thread comes to its end.
FALLS_OFF = """
import asyncio, os, threading, time
from iii_sdk import register_worker

iii = register_worker()

def plain(data):
    return threading.current_thread().name.startswith("iii-sync")

async def threaded(data):
    return await asyncio.to_thread(lambda: "threaded")

async def slow(data):
    iii.trigger_void("falls::started")
    await asyncio.sleep(60)

iii.register_function("falls::plain", plain)
iii.register_function("falls::threaded", threaded)
iii.register_function("falls::slow", slow)

def tell():
    threading.main_thread().join()
    print("main ended")

threading.Thread(target=tell, daemon=True).start()
"""


def test_wire_case_85_the_documented_program_runs(engine_process, make, run, answered):
    program = run(EMBEDDING.replace("ws://localhost:49134", engine_process.url), "")
    assert program.line() == "embedding worker started"
    caller = make(engine_process.url)
    similar = {"a": [1.0, 2.0], "b": [2.0, 4.0]}
    answer = answered(caller, "embedding::similarity", similar)
    assert answer["similarity"] == pytest.approx(1.0)
    assert answered(caller, "embedding::generate", {"text": "abcd"}) == {
        "embedding": [4, 0.0, 1.0],
        "dim": 3,
    }
    assert answered(caller, "embedding::generate", {"batch": ["a", "bc"]})["dim"] == 3
    engine_process.kill()
    engine_process.start()
    assert answered(caller, "embedding::similarity", similar) == answer
    program.end(signal.SIGINT)


def test_wire_case_85_ctrl_c_ends_a_program_whose_engine_is_down(engine_process, run):
    engine_process.kill()
    program = run(EMBEDDING.replace("ws://localhost:49134", engine_process.url), "")
    assert program.line() == "embedding worker started"
    program.end(signal.SIGINT)


def test_a_program_whose_main_thread_ended_goes_on_serving(url, iii, run, answered):
    program = run(FALLS_OFF, url)
    assert program.line() == "main ended"
    assert answered(iii, "falls::plain") is True
    assert answered(iii, "falls::threaded") == "threaded"
    assert program.end(signal.SIGTERM) == 0
    assert program.errors == ""


def test_ctrl_c_ends_it_then_too(url, iii, run, answered):
    program = run(FALLS_OFF, url)
    assert program.line() == "main ended"
    assert answered(iii, "falls::plain") is True
    program.end(signal.SIGINT)


def test_sigterm_answers_running_calls_and_closes(url, iii, run, answered):
    began = threading.Event()
    iii.register_function("falls::started", lambda: began.set())
    program = run(FALLS_OFF, url)
    answered(iii, "falls::plain")
    call = iii.trigger("falls::slow")
    assert began.wait(5)
    assert program.end(signal.SIGTERM) == 0
    with pytest.raises(IIIInvocationError, match="invocation_stopped"):
        call.result(5)


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise SystemExit(3)"])
def test_an_exit_of_the_main_thread_ends_the_program(url, run, ending):
    source = f"import sys\nfrom iii_sdk import III\niii = III()\niii.wait_connected(10)\n{ending}"
    assert run(source, url).end(within=10) == 3


def test_a_failure_of_the_main_thread_ends_the_program(url, run):
    program = run("from iii_sdk import III\niii = III()\nraise LookupError('gone')", url)
    assert program.end(within=10) == 1
    program.close()
    assert "LookupError: gone" in program.errors


def test_a_program_that_shuts_down_ends(url, run):
    program = run(
        """
import asyncio
from iii_sdk import register_worker
with register_worker() as iii:
    iii.register_function("ends::now", lambda data: data)
    print(iii.trigger({"function_id": "ends::now", "payload": 7}))
""",
        url,
    )
    assert program.line() == "7"
    assert program.end(within=10) == 0


def test_a_fork_cannot_use_the_instance_but_can_make_its_own(url, run):
    program = run(
        """
import os, sys
from iii_sdk import III
iii = III()
assert iii.wait_connected(10)
child = os.fork()
if child == 0:
    try:
        iii.trigger("x")
    except RuntimeError as error:
        print(error)
    with III() as own:
        print(own.wait_connected(10))
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
iii.shutdown()
""",
        url,
    )
    assert "fork" in program.line()
    assert program.line() == "True"
    assert program.end(within=10) == 0


def test_workers_do_not_load_the_published_forms(url, run):
    program = run("import iii_sdk, sys\nprint('iii_sdk.compat' in sys.modules)", url)
    assert program.line() == "False"
