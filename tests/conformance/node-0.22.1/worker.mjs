// The published Node client 0.22.1, whose helpers are a package of their own.
import { http } from '@iii-dev/helpers/http'
import * as sdk from 'iii-sdk'
import { serve } from '../node/serve.mjs'

await serve({ ...sdk, http })
