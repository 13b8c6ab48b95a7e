-- Asks for 1,000 paths in turn, so that balancers that hash the path spread the requests over all backends, and tells
-- the exact figures in the end: wrk's own report rounds them.
--
-- The argument is the beginning of the paths.

local requests = {}
local turn = 0

function init(args)
  for i = 0, 999 do
    requests[i] = wrk.format("GET", args[1] .. i)
  end
end

function request()
  turn = (turn + 1) % 1000
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "figures %d %d %d %d %d %d %d\n",
    summary.requests,
    summary.duration,
    summary.bytes,
    latency:percentile(50),
    latency:percentile(99),
    errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
