// A worker written with the published Node client. Commands come on stdin, answers go to stdout,
// one JSON value per line.
import { createInterface } from 'node:readline'
import { Logger, TriggerAction, http, registerWorker } from 'iii-sdk'

console.log = console.info = console.debug = console.error // stdout is for answers only

const url = process.argv[2]
const iii = registerWorker(url, { workerName: process.argv[3] ?? 'node-worker' })

iii.registerFunction('node::echo', async (data) => data)
iii.registerFunction('node::relay', async ({ function_id, payload }) =>
  iii.trigger({ function_id, payload }),
)
iii.registerFunction('node::fail', async () => {
  throw new Error('it broke')
})
iii.registerFunction('node::greet', async (request) => ({
  status_code: 201,
  headers: { 'x-made-by': 'node' },
  body: { hello: request.path_params.name, body: request.body, query: request.query_params },
}))
iii.registerTrigger({
  type: 'http',
  function_id: 'node::greet',
  config: { api_path: '/node/greet/:name', http_method: 'POST' },
})
iii.registerFunction(
  'node::stream',
  http(async (_request, response) => {
    response.status(202)
    response.headers({ 'content-type': 'text/event-stream' })
    for (const n of [1, 2, 3]) response.stream.write(`data: ${n}\n\n`)
    response.stream.end()
  }),
)
iii.registerTrigger({
  type: 'http',
  function_id: 'node::stream',
  config: { api_path: 'node/stream', http_method: 'GET' },
})
const events = []
iii.registerFunction('node::on-state', async (event) => {
  events.push(event)
})
iii.registerTrigger({ type: 'state', function_id: 'node::on-state', config: { scope: 'watched' } })
iii.registerFunction('node::events', async () => events)

const say = (value) => process.stdout.write(JSON.stringify(value ?? null) + '\n')

const actions = { void: TriggerAction.Void(), none: undefined }
for await (const line of createInterface({ input: process.stdin })) {
  const { function_id, payload, action = 'none', timeoutMs } = JSON.parse(line)
  try {
    const result = await iii.trigger({ function_id, payload, action: actions[action], timeoutMs })
    say({ result: result ?? null })
  } catch (error) {
    say({ error: { code: error.code ?? 'unknown', message: error.message } })
  }
}
await iii.shutdown()
process.exit(0)
