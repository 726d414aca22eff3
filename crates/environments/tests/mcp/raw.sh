# An MCP server over standard streams that answers calls with what the variable REPLY says. A call with "flood" in it
# makes it send pings for ever, whose answers it does not read. Each answer tells how many calls there were.
say() { printf '%b\n' "$1"; }
calls=0
while read -r line; do
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
    case "$line" in
        *'"method":"initialize"'*)
            say '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}}' ;;
        *'"method":"tools/list"'*)
            say '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"go","inputSchema":{"type":"object"}}]}}' ;;
        *flood*) yes '{"jsonrpc":"2.0","id":7,"method":"ping"}' ;;
        *'"method":"tools/call"'*)
            calls=$((calls + 1))
            say "$(printf '%s' "$REPLY" | sed "s/@ID/$id/g; s/@CALLS/$calls/g")" ;;
    esac
done
