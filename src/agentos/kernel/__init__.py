"""The little that workers share: ids and times, nothing with a subject of its own."""
