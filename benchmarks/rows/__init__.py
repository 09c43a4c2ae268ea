"""The measured programs: each written once, as one would write it for asyncio."""
