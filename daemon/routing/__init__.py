"""The routing table: who gets which letter, and who covers for whom.

Pure but for reading and writing files. `rows` declares what an administrator writes; `table` reads
it, and `validation` checks it. `facts` are what routes look at, `conditions` compares the two,
`index` finds the few routes that matter, and `decide` decides. `explain`, `dryrun` and `lint`
describe tables. `spreadsheet` converts them to a spreadsheet and back, and says what an edit
changes.
"""
