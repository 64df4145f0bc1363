// The published Node client 0.11.6.
import * as sdk from 'iii-sdk'
import { serve } from './serve.mjs'

await serve(sdk)
