# Ordinary comments of the public headers as Doxygen's. The first block is the file's. A block in front of a declaration
# is also that of the declarations directly below it, up to a blank line.
function indent_of(line) { match(line, /^ */); return RLENGTH }
function forget() { size = 0 }
function begin(line) { forget(); indent = indent_of(line) }

/^ *\/\/ / {
  if (!in_comment) begin($0)
  if (NR == 1) print "/// @file"
  sub(/\/\/ /, "/// ")
  block[++size] = $0
  in_comment = 1
  print
  next
}

/^ *$/ || /^#/ || /^ *(public|private|protected):/ { forget() }

{
  trailing = sub(/[;,] +\/\/ /, "&<<<") && sub(/\/\/ <<</, "///< ")
  again = size > 0 && !in_comment && ended && !trailing && indent_of($0) == indent && $0 !~ /^ *[})]/
  if (again) for (i = 1; i <= size; ++i) print block[i]
  in_comment = 0
  ended = $0 ~ /[;}] *(\/\/.*)?$/
  print
}
