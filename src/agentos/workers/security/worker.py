"""The worker `security`: what it offers. Each handler lives in the file of its subject."""

from __future__ import annotations

from functools import partial

from agentos.kernel.clock import Clock, now_ms
from agentos.workers.security import injection, sandbox, signing, taint
from agentos.workers.security.audit import Audit
from agentos.workers.security.capabilities import CapabilityGate
from agentos.workers.security.policy import PolicyBook
from iii_sdk import BusError, Forbidden, Worker, http, subscribe


def denial(error: BusError) -> dict[str, object]:
    """The HTTP body of an error of `security::check_capability`."""
    if isinstance(error, Forbidden):
        return {"allowed": False, "error": error.message}
    return {"error": error.message, "code": error.code}


def create(clock: Clock = now_ms) -> Worker:
    """A new worker; audit lock and chain head are its own."""
    worker = Worker("security", description="Guardrails for agents and their tools")
    function = partial(worker.function, metadata={"category": "security"})
    audit = Audit(clock=clock)
    capabilities = CapabilityGate(audit, clock)
    declassifier = taint.Declassifier(audit)
    policies = PolicyBook(audit)

    function(
        "security::check_capability", http("POST", "/api/security/capability", error_body=denial)
    )(capabilities.check)
    function("security::set_capabilities")(capabilities.set)

    function("security::audit", subscribe("audit"))(audit.record)
    function(
        "security::verify_audit",
        http("GET", "/api/security/audit/verify"),
        http("GET", "/security/audit/verify"),
    )(audit.verify)

    function(
        "security::scan_injection",
        http("POST", "/api/security/scan"),
        http("POST", "/security/scan"),
    )(injection.scan_injection)

    function("security::sign_manifest")(signing.sign_manifest)
    function("security::verify_manifest")(signing.verify_manifest)
    function("security::docker_exec")(sandbox.docker_exec)

    function("taint::label")(taint.label)
    function("taint::check")(taint.check)
    function("taint::declassify")(declassifier.declassify)

    function("policy::check")(policies.check)
    function("policy::set_rules")(policies.set_rules)
    function("policy::get_rules")(policies.get_rules)
    return worker


worker = create()
