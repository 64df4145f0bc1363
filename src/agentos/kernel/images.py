"""Images in the neutral message format of the LLM router."""

from __future__ import annotations


def image_part(image: str) -> dict[str, object]:
    """A content part for a URL or a base64 data URL."""
    head, comma, data = image.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        media_type = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "image", "mediaType": media_type or "image/png", "data": data}
    return {"type": "image", "url": image}
