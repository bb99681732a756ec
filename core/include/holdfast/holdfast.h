// Everything a user of the store needs.
#pragma once

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/base/units.h"
#include "holdfast/draft.h"
#include "holdfast/name.h"
#include "holdfast/object_id.h"
#include "holdfast/object_ref.h"
#include "holdfast/op.h"
#include "holdfast/options.h"
#include "holdfast/pin.h"
#include "holdfast/stats.h"
#include "holdfast/store.h"
#include "holdfast/version.h"
#include "holdfast/why.h"
