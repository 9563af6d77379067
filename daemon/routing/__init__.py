"""The routing table: who gets which letter, and who covers for whom.

Pure but for reading and writing files.

`rows` is what an administrator writes; `table` reads it and has it judged (`checks`, `shadows`,
`circles`). `facts` is what routes look at, `conditions` holds one against the other, `index` finds
the few routes that matter, and `decide` decides. `explain`, `dryrun` and `lint` tell about tables.
`sheet` (`cells`, `sheetfiles`) takes them to a spreadsheet and back, and `edits` says what an edit
changes.
"""
