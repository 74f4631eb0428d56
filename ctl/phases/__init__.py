"""The phases of a deploy: connect, check, push, stage, switch, await ready, commit."""
