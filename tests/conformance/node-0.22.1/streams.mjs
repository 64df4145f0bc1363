// The published Node client 0.22.1.
import * as sdk from 'iii-sdk'
import { createStream } from 'iii-sdk/helpers'
import { keepStreams } from '../node/keep_streams.mjs'

await keepStreams({ ...sdk, createStream })
