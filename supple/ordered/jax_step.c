/* The steps of step.c as JAX calls them: arrays come in a frame, their shapes with them. */

#include "step.c"
#include "xla/ffi/api/c_api.h"

static XLA_FFI_Buffer *array(void **arrays, int k) { return arrays[k]; }

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

/* Reads t, y and perhaps a mask; writes h, c, what is x and becomes gates, and d; has room. */
XLA_FFI_Error *supple_onlstm_forward(XLA_FFI_CallFrame *frame) {
    if (answers(frame)) return NULL;
    void **read = frame->args.args, **written = frame->rets.rets;
    int masked = frame->args.size == 2 + 1 + 4;
    int64_t rows = array(written, 2)->dims[1], width = array(written, 2)->dims[2], size = array(written, 0)->dims[2];
    float *gates = array(written, 2)->data;
    forward(rows, size, (width - 4 * size) / 2, number(frame, 1), number(frame, 0), 1, gates,
            masked ? array(read, 2)->data : NULL, array(written, 0)->data, array(written, 1)->data, gates,
            array(written, 3)->data, array(written, 4)->data, *(int32_t *)array(read, 0)->data,
            array(read, 1)->data, 1);
    return NULL;
}

/* Reads t, y, the gradients by h and d, c and perhaps a mask; writes dh, dc and what is gates and becomes dz;
has room. */
XLA_FFI_Error *supple_onlstm_backward(XLA_FFI_CallFrame *frame) {
    if (answers(frame)) return NULL;
    void **read = frame->args.args, **written = frame->rets.rets;
    int masked = frame->args.size == 5 + 1 + 3;
    int64_t rows = array(written, 2)->dims[1], width = array(written, 2)->dims[2], size = array(written, 0)->dims[1];
    float *dz = array(written, 2)->data;
    backward(rows, size, (width - 4 * size) / 2, number(frame, 1), number(frame, 0), array(read, 2)->data,
             array(read, 3)->data, masked ? array(read, 5)->data : NULL, array(read, 4)->data, dz,
             array(written, 0)->data, array(written, 1)->data, dz, array(written, 3)->data,
             *(int32_t *)array(read, 0)->data, array(read, 1)->data, 1);
    return NULL;
}
