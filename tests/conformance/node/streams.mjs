// The published Node client 0.11.6.
import * as sdk from 'iii-sdk'
import { keepStreams } from '../node/keep_streams.mjs'

await keepStreams(sdk)
