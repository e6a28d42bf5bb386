"""The one place that speaks HTTP: libcurl under asyncio, with time limits, retries, redirects and streamed bodies."""
