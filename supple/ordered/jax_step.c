/* The steps of step.c as JAX calls them: arrays come in a frame, their shapes with them. */

#include "step.c"
#include "xla/ffi/api/c_api.h"

static const int64_t *shape(void **arrays, int k) { return ((XLA_FFI_Buffer *)arrays[k])->dims; }
static void *data(void **arrays, int k) { return ((XLA_FFI_Buffer *)arrays[k])->data; }

/* Attributes are in the order of their names. */
static int number(XLA_FFI_CallFrame *frame, int k) {
    return *(int32_t *)((XLA_FFI_Scalar *)frame->attrs.attrs[k])->value;
}

/* Whether the call only asks which version of frames this is for; then that is answered. */
static int answers(XLA_FFI_CallFrame *frame) {
    XLA_FFI_Extension_Base *asked = frame->extension_start;
    if (!asked || asked->type != XLA_FFI_Extension_Metadata) return 0;
    XLA_FFI_Api_Version *version = &((XLA_FFI_Metadata_Extension *)asked)->metadata->api_version;
    version->major_version = XLA_FFI_API_MAJOR;
    version->minor_version = XLA_FFI_API_MINOR;
    return 1;
}

/* Reads t, y and perhaps a mask; writes h, c, gates, where x is, and d; has room. */
XLA_FFI_Error *supple_onlstm_forward(XLA_FFI_CallFrame *frame) {
    if (answers(frame)) return NULL;
    void **read = frame->args.args, **written = frame->rets.rets;
    int rows = shape(written, 2)[1], width = shape(written, 2)[2], size = shape(written, 0)[2];
    int hard = number(frame, 0), paper = number(frame, 1), masked = frame->args.size == 2 + 1 + 4;
    int32_t *t = data(read, 0);
    float *y = data(read, 1), *h = data(written, 0), *c = data(written, 1), *gates = data(written, 2);
    float *d = data(written, 3), *room = data(written, 4);
    uint8_t *mask = masked ? data(read, 2) : NULL;
    int n = (width - 4 * size) / 2;
    forward(rows, size, n, paper, hard, 1, gates, mask, h, c, gates, d, room, *t, y, 1);
    return NULL;
}

/* Reads t, y, the gradients by h and d, c and perhaps a mask; writes dh, dc and dz, where gates are; has room. */
XLA_FFI_Error *supple_onlstm_backward(XLA_FFI_CallFrame *frame) {
    if (answers(frame)) return NULL;
    void **read = frame->args.args, **written = frame->rets.rets;
    int rows = shape(written, 2)[1], width = shape(written, 2)[2], size = shape(written, 0)[1];
    int hard = number(frame, 0), paper = number(frame, 1), masked = frame->args.size == 5 + 1 + 3;
    int32_t *t = data(read, 0);
    float *y = data(read, 1), *by_h = data(read, 2), *by_d = data(read, 3), *c = data(read, 4);
    float *dh = data(written, 0), *dc = data(written, 1), *dz = data(written, 2), *room = data(written, 3);
    uint8_t *mask = masked ? data(read, 5) : NULL;
    int n = (width - 4 * size) / 2;
    backward(rows, size, n, paper, hard, by_h, by_d, mask, c, dz, dh, dc, dz, room, *t, y, 1);
    return NULL;
}
