"""What goes in and out of the agent loop."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field

from iii_sdk.protocol import NULL, ChannelRef

#: A JSON object that is passed on and hardly looked into.
JsonObject = dict[str, object]


class Message(Struct):
    """One turn in the neutral format of the LLM router. Content is text or a list of parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[JsonObject] | None = None
    tool_calls: list[JsonObject] | UnsetType | None = UNSET
    tool_call_id: str | UnsetType | None = UNSET

    @property
    def text(self) -> str:
        """The text alone, for measuring and comparing."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class ChatRequest(Struct, rename="camel"):
    """One user message for one agent.

    `history` (earlier turns given by the caller) replaces the stored turns of the session, also
    when it is empty. `model`, `max_tokens` and `temperature` overrule the agent's for this turn.
    `stream` is the write end of a channel; the turn is told there as it happens.
    """

    agent_id: str
    message: str
    session_id: str | None = None
    system_prompt: str | None = None
    reply_topic: str | None = None
    history: list[Message] | None = None
    images: list[str] = []
    from_agent_id: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stream: ChannelRef | None = None


class Usage(Struct, rename="camel"):
    """Tokens of one LLM call or of a whole turn."""

    input: int = 0
    output: int = 0
    total: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def add(self, other: Usage) -> None:
        self.input += other.input
        self.output += other.output
        self.total += other.total
        self.cache_read += other.cache_read
        self.cache_write += other.cache_write


class ChatError(Struct, rename="camel", omit_defaults=True):
    """Why a turn ended without an answer of the model; `retry_after` is in seconds."""

    code: str
    message: str
    retry_after: int | None = None


class ChatResponse(Struct, rename="camel", omit_defaults=True):
    """The answer of a turn; a refusal is an answer too, with `error`."""

    content: str = field()
    iterations: int = field()
    duration_ms: int = field()
    session_id: str = field()
    model: str | None = None
    usage: Usage | None = None
    stop_reason: str | None = None
    error: ChatError | None = None
    truncated: bool = False


class FunctionCall(Struct, rename="camel"):
    """A call the model asks for. `arguments` may be any JSON value."""

    call_id: str
    id: str
    arguments: object


class Completion(Struct, rename="camel"):
    """The answer of one LLM call. Calls are read one by one: a malformed one is answered."""

    content: object = None
    model: str = ""
    tool_calls: list[Raw] | None = None
    usage: Usage | None = None
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else ""


class FunctionInfo(Struct):
    """A function as the engine lists it; formats stay as they came."""

    function_id: str = ""
    id: str | UnsetType = UNSET
    description: str | None = None
    request_format: Raw = NULL
    response_format: Raw = NULL
    metadata: Raw = NULL

    def __post_init__(self) -> None:
        if not self.function_id and isinstance(self.id, str):
            self.function_id = self.id


class FunctionList(Struct):
    """The answer of `engine::functions::list`."""

    functions: list[FunctionInfo]


class Capabilities(Struct, rename="camel"):
    """What an agent may use. `tools` is the older name of `functions`."""

    functions: list[str] | None = None
    tools: list[str] | None = None
    memory_scopes: list[str] | None = None
    network_hosts: list[str] | None = None

    @property
    def allowed(self) -> list[str]:
        """Prefixes of function ids, `*` for all; everything when nothing is said."""
        if self.functions is not None:
            return self.functions
        return self.tools if self.tools is not None else ["*"]


class Resources(Struct, rename="camel"):
    """Limits of an agent; budgets in USD."""

    max_tokens_per_hour: int | None = None
    daily_budget: float | None = None
    monthly_budget: float | None = None


class Workflow(Struct):
    """How a persona goes about its work."""

    phases: list[str] | None = None


class Persona(Struct, rename="camel"):
    """The character of an agent, as far as it is shown to the model."""

    division: str | None = None
    communication_style: str | None = None
    critical_rules: list[str] | None = None
    workflow: Workflow | None = None


class AgentConfig(Struct, rename="camel"):
    """The part of an agent's record that the loop reads; the stored record may hold more."""

    name: str
    id: str | None = None
    description: str | None = None
    model: JsonObject | None = None
    system_prompt: str | None = None
    capabilities: Capabilities | None = None
    resources: Resources | None = None
    tool_profile: str | None = None
    agent_tier: Literal["economy", "premium"] | None = None
    code_agent_mode: bool | None = None
    approval_overrides: dict[str, str] | None = None
    persona: Persona | None = None
    tags: list[str] | None = None
    created_at: int | None = None
