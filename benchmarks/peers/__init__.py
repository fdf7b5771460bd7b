"""The servers that ours is compared with, each with its best reasonable settings; README.md of benchmarks says why."""
