"""The routing table: who gets which letter, and who covers for whom. Pure but for reading files.

`rows` is what an administrator writes, `table` reads and checks it (`checks`), `facts` is what routes look at, `conditions` holds one
against the other, and `decide` decides. `explain`, `dryrun` and `lint` tell about tables, `sheet` takes them to a spreadsheet and back.
"""
