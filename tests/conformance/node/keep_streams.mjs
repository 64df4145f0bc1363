// A worker that keeps a stream and guards streams, with whichever client it is given. Commands come
// on stdin, answers go to stdout, one JSON value per line.
// Arguments: address, name of the worker, prefix of its function ids.
import { createInterface } from 'node:readline'

// Items of a stream, by group.
class Kept {
  groups = new Map()

  items(groupId) {
    if (!this.groups.has(groupId)) this.groups.set(groupId, new Map())
    return this.groups.get(groupId)
  }
  async get({ group_id, item_id }) {
    return this.items(group_id).get(item_id) ?? null
  }
  async set({ group_id, item_id, data }) {
    const old_value = await this.get({ group_id, item_id })
    this.items(group_id).set(item_id, data)
    return { old_value, new_value: data }
  }
  async delete({ group_id, item_id }) {
    const old_value = await this.get({ group_id, item_id })
    this.items(group_id).delete(item_id)
    return { old_value }
  }
  async list({ group_id }) {
    return [...this.items(group_id).values()]
  }
  async listGroups() {
    return [...this.groups.keys()].sort()
  }
  async update() {
    throw new Error('the engine updates by itself')
  }
}

export async function keepStreams({ createStream, registerWorker }) {
  console.log = console.info = console.debug = console.error // stdout is for answers only

  const [url, workerName, prefix] = process.argv.slice(2)
  const iii = registerWorker(url, { workerName })
  const stream_name = `kept-${prefix}`
  if (createStream) createStream(iii, stream_name, new Kept())
  else iii.createStream(stream_name, new Kept())

  const heard = { changed: [], joined: [], left: [] }
  const offer = (name, handler) => iii.registerFunction(`${prefix}::${name}`, handler)
  const on = (type, name) =>
    iii.registerTrigger({ type, function_id: `${prefix}::${name}`, config: { stream_name } })
  offer('auth', async ({ headers, query_params }) => {
    if (!headers['x-user']) throw new Error('who are you?')
    return { context: { user: headers['x-user'], query: query_params } }
  })
  offer('join', async (event) => {
    heard.joined.push(event)
    return { unauthorized: event.group_id === 'secret' }
  })
  offer('leave', async (event) => void heard.left.push(event))
  offer('changed', async (event) => void heard.changed.push(event))
  offer('heard', async () => heard)
  on('stream', 'changed')
  on('stream:join', 'join')
  on('stream:leave', 'leave')

  const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')
  for await (const line of createInterface({ input: process.stdin })) {
    const { function_id, payload } = JSON.parse(line)
    try {
      say({ result: (await iii.trigger({ function_id, payload })) ?? null })
    } catch (error) {
      say({ error: { code: error.code ?? 'unknown', message: error.message } })
    }
  }
  await iii.shutdown()
  process.exit(0)
}
