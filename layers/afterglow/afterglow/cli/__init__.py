"""The `afterglow` command.

::

    main          the parser of all commands, and the program's entry point
    parser        usage and suggestions on a mistake
    completion    scripts that complete commands in bash, zsh and fish
    options       options that several commands share, and what they name: settings, directories, stores
    console       output lines, exit codes, errors, Ctrl-C
    progress      progress bars
    run worker    the server: the command, and the program of one worker process
    demo          a server, sample data and a few searches
    keys          API keys
    inspect       what is there: status, collections, queries
    config        the effective settings
    import_files  bulk import: of files (`import_sources`) and of `import_databases`
    bulk          export, import reports, migration from Chroma
    rescue        a Chroma directory, also a damaged one, without Chroma
    backup        backup and restore, dump and load
    maintain      compact, verify and repair

A command is a function of the parsed arguments; its docstring is the help text, and the function that declares its
options stands beside it. Modules import what a command needs inside its function, so `--help` stays fast.
"""
