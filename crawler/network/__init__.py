"""The only package that knows aiohttp. Failures leave it as values (`records.Failure`), never as exceptions."""
