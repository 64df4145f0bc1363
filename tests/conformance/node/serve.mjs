// What the workers of the conformance tests do, with whichever client they are given. Commands come
// on stdin, answers go to stdout, one JSON value per line.
// Arguments: address, name of the worker, prefix of its function ids.
import { createInterface } from 'node:readline'

export async function serve({ TriggerAction, http, registerWorker }) {
  console.log = console.info = console.debug = console.error // stdout is for answers only

  const [url, workerName = 'node-worker', prefix = 'node'] = process.argv.slice(2)
  const iii = registerWorker(url, { workerName })

  iii.registerFunction(`${prefix}::echo`, async (data) => data)
  iii.registerFunction(`${prefix}::relay`, async ({ function_id, payload }) =>
    iii.trigger({ function_id, payload }),
  )
  iii.registerFunction(`${prefix}::fail`, async () => {
    throw new Error('it broke')
  })
  iii.registerFunction(`${prefix}::greet`, async (request) => ({
    status_code: 201,
    headers: { 'x-made-by': prefix },
    body: { hello: request.path_params.name, body: request.body, query: request.query_params },
  }))
  iii.registerTrigger({
    type: 'http',
    function_id: `${prefix}::greet`,
    config: { api_path: `/${prefix}/greet/:name`, http_method: 'POST' },
  })
  iii.registerFunction(
    `${prefix}::stream`,
    http(async (_request, response) => {
      response.status(202)
      response.headers({ 'content-type': 'text/event-stream' })
      for (const n of [1, 2, 3]) response.stream.write(`data: ${n}\n\n`)
      response.stream.end()
    }),
  )
  iii.registerTrigger({
    type: 'http',
    function_id: `${prefix}::stream`,
    config: { api_path: `${prefix}/stream`, http_method: 'GET' },
  })
  const events = []
  iii.registerFunction(`${prefix}::on-state`, async (event) => {
    events.push(event)
  })
  iii.registerTrigger({ type: 'state', function_id: `${prefix}::on-state`, config: { scope: 'watched' } })
  iii.registerFunction(`${prefix}::events`, async () => events)

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
}
