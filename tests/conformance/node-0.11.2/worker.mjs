// The published Node client 0.11.2.
import * as sdk from 'iii-sdk'
import { serve } from '../node/serve.mjs'

await serve(sdk)
