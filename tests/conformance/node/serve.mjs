// What the workers of the conformance tests do, with whichever client they are given. Commands come
// on stdin, answers go to stdout, one JSON value per line.
// Arguments: address, name of the worker, prefix of its function ids, more options as JSON.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

// Bytes that no shift or swap leaves the same.
function pattern(start, size) {
  const bytes = Buffer.alloc(size + 4)
  for (let n = 0; n * 4 < size; n++) bytes.writeUInt32BE(start + n, n * 4)
  return bytes.subarray(0, size)
}

export async function serve({ TriggerAction, http, registerWorker }) {
  console.log = console.info = console.debug = console.error // stdout is for answers only

  const [url, workerName = 'node-worker', prefix = 'node', options = '{}'] = process.argv.slice(2)
  const iii = registerWorker(url, { ...(workerName && { workerName }), ...JSON.parse(options) })

  iii.registerFunction(`${prefix}::echo`, async (data) => data)
  iii.registerFunction(`${prefix}::relay`, async ({ function_id, payload }) =>
    iii.trigger({ function_id, payload }),
  )
  iii.registerFunction(`${prefix}::fail`, async () => {
    throw new Error('it broke')
  })
  // Write so many bytes into the channel, in pieces of 100 kB; their digest.
  iii.registerFunction(`${prefix}::pour`, async ({ writer, size }) => {
    const digest = createHash('sha256')
    for (let start = 0; start < size; start += 100_000) {
      const piece = pattern(start, Math.min(100_000, size - start))
      digest.update(piece)
      if (!writer.stream.write(piece)) await once(writer.stream, 'drain')
    }
    writer.stream.end()
    return digest.digest('hex')
  })
  // Read the channel to its end; how many bytes came, and their digest.
  const drink = async (reader) => {
    const digest = createHash('sha256')
    let size = 0
    for await (const piece of reader.stream) {
      digest.update(piece)
      size += piece.length
    }
    return { size, sha256: digest.digest('hex') }
  }
  iii.registerFunction(`${prefix}::drink`, async ({ reader }) => drink(reader))
  iii.registerFunction(`${prefix}::upload`, async ({ request_body }) => ({ body: await drink(request_body) }))
  iii.registerTrigger({
    type: 'http',
    function_id: `${prefix}::upload`,
    config: { api_path: `${prefix}/upload`, http_method: 'POST' },
  })
  iii.registerFunction(`${prefix}::download`, async ({ query_params, response }) => {
    const body = pattern(0, Number(query_params.size))
    const sha256 = createHash('sha256').update(body).digest('hex')
    const headers = { 'content-type': 'application/octet-stream', 'x-sha256': sha256 }
    response.sendMessage(JSON.stringify({ type: 'set_headers', headers }))
    response.stream.end(body)
  })
  iii.registerTrigger({
    type: 'http',
    function_id: `${prefix}::download`,
    config: { api_path: `${prefix}/download`, http_method: 'GET' },
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
  // Jobs that say so fail the first time.
  iii.registerFunction(`${prefix}::on-job`, async (job) => {
    const first = !events.some((event) => event.n === job.n)
    events.push(job)
    if (first && job.fail) throw new Error('it broke')
  })
  iii.registerTrigger({
    type: 'durable:subscriber',
    function_id: `${prefix}::on-job`,
    config: { topic: `${prefix}.jobs`, queue_config: { maxRetries: 2, backoffDelayMs: 10 } },
  })
  iii.registerFunction(`${prefix}::events`, async () => events)

  const say = (value) => process.stdout.write(JSON.stringify(value ?? null) + '\n')

  const actions = {
    void: TriggerAction.Void(),
    enqueue: TriggerAction.Enqueue({ queue: 'default' }),
    none: undefined,
  }
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
