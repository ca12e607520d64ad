"""What authors of DAG files write with: DAGs, operators, decorators, groups, params, XCom.

Nothing here schedules or runs anything. A DAG file is imported, the objects in it are turned into
`model.specs` by `serialize`, and inside an attempt the worker takes the operator from the same file.
"""
