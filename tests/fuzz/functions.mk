S := $(wildcard $(src)/*.c)
obj-m += $(patsubst %.c,%.o,$(filter-out x.c,$(notdir $(S))))
$(foreach m,a b,$(eval $(m)-objs := $(m)1.o))
define x
y
endef
include $(TOP)/config.mk
obj-$(CONFIG_X) += sub/
