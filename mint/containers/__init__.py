"""Miners' containers on this device: find them, read their counters, read and set their quota.

`model` says what a miner's hold is; `cgroup_v1`, `cgroup_v2`, `duty` and `docker_api` are the four kinds;
`hierarchy` knows where cgroups lie on this machine; `find` finds every miner of a scope.
"""
